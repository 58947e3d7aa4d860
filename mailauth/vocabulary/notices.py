"""The mails that mailauth writes: what each is about, and which facts it carries.

Facts are JSON values. A fact `link` is a path on the portal (`/link/...`); a fact `codes` holds secrets, which is
why what is queued is sealed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from mailauth.vocabulary.model import Address


class NoticeKind(StrEnum):
    """What a mail is about; the facts it takes stand behind each."""

    # Those about a change that shuts somebody out may also have, as UNDO_LINK_REPLACED has: link, since, until.
    RECOVERY_CODES = "recovery-codes"  # codes: list of grouped codes, or empty; first: bool, after an enrolment
    RECOVERY_CODE_USED = "recovery-code-used"  # left: int
    AUTHENTICATOR_SET = "authenticator-set"  # link: undoes it
    UNDO_LINK_REPLACED = "undo-link-replaced"  # link: undoes an enrolment; since: of that; until: of the link
    AUTHENTICATOR_REPLACED = "authenticator-replaced"
    AUTHENTICATOR_REMOVED = "authenticator-removed"
    ENROLMENT_UNDONE = "enrolment-undone"
    APP_PASSWORD_MADE = "app-password-made"  # name: str; services: list of str, empty for any mail service
    APP_PASSWORD_REVOKED = "app-password-revoked"  # names: list of str
    RIGHT_PASSWORD_WRONG_CODE = "right-password-wrong-code"  # count: int, since: ISO 8601 time in UTC
    PASSWORD_ALONE_REFUSED = "password-alone-refused"  # is_enrolled: bool
    CODE_SET_APART = "code-set-apart"
    CONFIRM_ADDRESS = "confirm-address"  # address: goes there and nowhere else; link: confirms it
    ADDRESS_CHANGED = "address-changed"  # address: the new one, or empty where it was removed
    ANNOUNCEMENT = "announcement"
    # To administrators. source: str; held: list of {domain, empty for all of the source; kind; number; of}
    REMOVALS_HELD = "removals-held"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who did something, for the owner to recognise: a service or `administrator`, from where, with what."""

    service: str
    client: Address | None = None
    agent: str = ""


ADMINISTRATOR = Origin("administrator")
"""Somebody with the command line of the server."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one mail says: about which account, what happened when, who did it from where, and the kind's facts."""

    kind: NoticeKind
    account: str
    moment: datetime
    service: str
    client: str
    agent: str
    facts: dict[str, Any] = field(repr=False)  # may hold codes

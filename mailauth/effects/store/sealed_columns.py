"""Every column whose content was made with a key: sealed with it, or a digest that only it makes.

Whoever has to find all of that walks this table: which keys are in use, what is tried with a key, what is bound to
another name when an account is renamed. A column of bytes that is missing here and in `MADE_WITHOUT_A_KEY` fails a
test. Holds no statements and no keys.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from sqlalchemy import Column, ColumnElement, Table, false, true

from mailauth.effects.keyring import Purpose
from mailauth.effects.store.tables import (
    account,
    app_password,
    key_fingerprint,
    login_memory,
    mail_link,
    outbox,
    portal_session,
    recovery_code,
    running_part,
    totp,
)


class Form(Enum):
    """What was made with the key."""

    SEALED = auto()  # the key opens it again
    DIGEST = auto()  # it is compared with what is presented


class BoundTo(Enum):
    """What a value is bound to beside its purpose, as far as a renaming of its account changes that."""

    NAME = auto()  # the account's name: it has to be bound to the new one
    EPOCH = auto()  # the name as well, but it serves in one epoch only, which a renaming raises: left as it is
    ITSELF = auto()  # a token, a Message-ID, a key's id: a renaming is nothing to it


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column, and how its values were made.

    `key_id`: the column that names the key; None where values are looked for with every key of the ring. `serves`: the
    rows in which the value is still of use, so that its key is. `opens_with`: what a sealed value is bound to, where
    that can be told from the database alone.
    """

    value: Column[bytes]
    form: Form
    purpose: Purpose
    bound_to: BoundTo
    key_id: Column[str] | None = None
    serves: ColumnElement[bool] = field(default_factory=true)
    opens_with: Column[str] | None = None

    @property
    def table(self) -> Table:
        """The table that it is in."""
        return self.value.table


SEALED_COLUMNS: tuple[SealedColumn, ...] = (
    SealedColumn(
        totp.c.sealed_seed,
        Form.SEALED,
        Purpose.TOTP_SEED,
        BoundTo.NAME,
        key_id=totp.c.key_id,
        opens_with=account.c.name,
    ),
    SealedColumn(
        recovery_code.c.digest,
        Form.DIGEST,
        Purpose.RECOVERY_CODE,
        BoundTo.NAME,
        key_id=recovery_code.c.key_id,
        serves=recovery_code.c.spent_at.is_(None) & recovery_code.c.voided_at.is_(None),
    ),
    # Of its name, selector and secret.
    SealedColumn(
        app_password.c.digest,
        Form.DIGEST,
        Purpose.APP_PASSWORD,
        BoundTo.NAME,
        key_id=app_password.c.key_id,
        serves=app_password.c.revoked_at.is_(None),
    ),
    # To name and session: what a renaming has left behind opens with a name that the account has no more.
    SealedColumn(
        portal_session.c.pending_seed,
        Form.SEALED,
        Purpose.PENDING_SEED,
        BoundTo.EPOCH,
        key_id=portal_session.c.pending_key_id,
        serves=portal_session.c.pending_seed.is_not(None),
    ),
    SealedColumn(
        outbox.c.content,
        Form.SEALED,
        Purpose.OUTBOX,
        BoundTo.ITSELF,
        key_id=outbox.c.key_id,
        serves=outbox.c.content.is_not(None),
        opens_with=outbox.c.message_id,
    ),
    SealedColumn(portal_session.c.digest, Form.DIGEST, Purpose.PORTAL_SESSION, BoundTo.ITSELF),
    SealedColumn(mail_link.c.digest, Form.DIGEST, Purpose.MAIL_LINK, BoundTo.ITSELF),
    SealedColumn(login_memory.c.digest, Form.DIGEST, Purpose.LOGIN_MEMORY, BoundTo.EPOCH),
    SealedColumn(login_memory.c.string_digest, Form.DIGEST, Purpose.ACCEPTED_STRING, BoundTo.EPOCH),
    SealedColumn(account.c.hash_fingerprint, Form.DIGEST, Purpose.SOURCE_HASH, BoundTo.ITSELF),
    SealedColumn(account.c.directory_digest, Form.DIGEST, Purpose.DIRECTORY_ROW, BoundTo.ITSELF),
    # Says which key there was; needs none.
    SealedColumn(
        key_fingerprint.c.fingerprint,
        Form.DIGEST,
        Purpose.FINGERPRINT,
        BoundTo.ITSELF,
        key_id=key_fingerprint.c.key_id,
        serves=false(),
    ),
)
"""In the order in which a key is tried on what it has sealed."""

MADE_WITHOUT_A_KEY: tuple[Column[str], ...] = (running_part.c.digest,)
"""Columns that look like it and are not: the plain digest of a configuration."""

"""Every mail, with each kind of facts that it can tell; and what they are made of."""

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from mailauth.core.policy import Policy, parse_cutover
from mailauth.effects.languages import Languages
from mailauth.effects.mails.writing import Letterhead, Mails
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.notices import Notice, NoticeKind

CODES = ["k7qm-2xvp-9hfd-c3wn", "abcd-efgh-jkmn-pqrs"]
UNDOING = {"link": "/link/abc", "since": "2025-05-06T12:00:00+00:00", "until": "2025-05-09T12:00:00+00:00"}
FACTS: dict[NoticeKind, list[dict[str, Any]]] = {
    NoticeKind.RECOVERY_CODES: [
        {"codes": CODES, "first": True},
        {"codes": CODES, "first": False},
        {"codes": [], "first": True},
        {"codes": [], "first": False},
        {"codes": CODES, "first": False, **UNDOING},
    ],
    NoticeKind.RECOVERY_CODE_USED: [{"left": left} for left in (9, 3, 1, 0)],
    NoticeKind.AUTHENTICATOR_SET: [{"link": "/link/abc"}, {}],
    NoticeKind.AUTHENTICATOR_REPLACED: [{}, UNDOING],
    NoticeKind.UNDO_LINK_REPLACED: [UNDOING],
    NoticeKind.APP_PASSWORD_MADE: [{"name": "Phone", "services": ["imap", "smtp"]}, {"name": "Phone", "services": []}],
    NoticeKind.APP_PASSWORD_REVOKED: [{"names": ["Phone"]}, {"names": ["Phone", "Laptop"], **UNDOING}],
    NoticeKind.RIGHT_PASSWORD_WRONG_CODE: [{"count": 5, "since": "2025-05-06T12:00:00+00:00"}],
    NoticeKind.PASSWORD_ALONE_REFUSED: [{"is_enrolled": True}, {"is_enrolled": False}],
    NoticeKind.CONFIRM_ADDRESS: [{"address": "a@example.org", "link": "/link/abc"}],
    NoticeKind.REMOVALS_HELD: [
        {
            "source": "panel",
            "held": [
                {"domain": "example.org", "kind": "absent", "number": 120, "of": 900},
                {"domain": "", "kind": "inactive", "number": 700, "of": 2000},
                {"domain": "example.net", "kind": "replaced", "number": 30, "of": 31},
            ],
        }
    ],
    NoticeKind.ADDRESS_CHANGED: [{"address": "a@example.org"}, {"address": ""}],
}
AFTER = datetime(2025, 5, 6, 12, 32, tzinfo=UTC)
BEFORE = datetime(2025, 4, 6, 12, 32, tzinfo=UTC)
LETTERHEAD = Letterhead(
    "Mail-IT-Wize",
    "help@mailitwize.be",
    "noreply@mailitwize.be",
    "https://2fa.mailitwize.be",
    "#1d5b8f",
    Policy(parse_cutover("2025-05-05T00:00 Europe/Brussels")),
)
EVERY_MAIL = [
    (language, kind, facts, moment)
    for language in LANGUAGES
    for kind in NoticeKind
    for facts in FACTS.get(kind, [{}])
    for moment in (BEFORE, AFTER)
]
MAILS = Mails(Languages(), LETTERHEAD)


def write(
    kind: NoticeKind,
    language: str = "en",
    facts: dict[str, Any] | None = None,
    moment: datetime = AFTER,
    *,
    mails: Mails = MAILS,
    service: str = "imap",
    agent: str = "Thunderbird",
    recipient: str = "alice@mailitwize.be",
) -> EmailMessage:
    notice = Notice(
        kind, "alice@mailitwize.be", moment, service, "192.0.2.7", agent, facts or FACTS.get(kind, [{}])[0]
    )
    return mails.write(notice, language, recipient, "<id@mailitwize.be>")


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())

"""A notice is queued in the transaction of what it is about, sealed, to whom it concerns."""

from ipaddress import ip_address

import pytest

from mailauth.effects.keyring import Purpose, Sealed
from mailauth.vocabulary.errors import InvalidValue, SealBroken
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
from tests.integration.mails.conftest import Outbox
from tests.transactions import writing

CODES = ["k7qm-2xvp-9hfd-c3wn", "aaaa-bbbb-cccc-dddd"]
CHANGES = [
    NoticeKind.RECOVERY_CODE_USED,
    NoticeKind.AUTHENTICATOR_SET,
    NoticeKind.AUTHENTICATOR_REPLACED,
    NoticeKind.AUTHENTICATOR_REMOVED,
    NoticeKind.ENROLMENT_UNDONE,
    NoticeKind.APP_PASSWORD_MADE,
    NoticeKind.APP_PASSWORD_REVOKED,
    NoticeKind.ADDRESS_CHANGED,
]
LOGINS = [NoticeKind.RIGHT_PASSWORD_WRONG_CODE, NoticeKind.PASSWORD_ALONE_REFUSED, NoticeKind.ANNOUNCEMENT]


def test_queued_mail_says_what_happened_and_who_did_it_from_where(box: Outbox) -> None:
    origin = Origin("portal", ip_address("2001:db8::7"), "Firefox on Linux")
    assert box.tell(NoticeKind.RECOVERY_CODE_USED, origin, left=3) == 1
    (row,) = box.rows()
    assert (row.recipient, row.kind, row.state, row.tries) == (
        "alice@mailitwize.be",
        "recovery-code-used",
        "waiting",
        0,
    )
    assert row.created_at == row.next_at == box.world.clock()
    assert box.content(row) == {
        "account": "alice@mailitwize.be",
        "service": "portal",
        "client": "2001:db8::7",
        "agent": "Firefox on Linux",
        "facts": {"left": 3},
    }


def test_message_id_is_made_when_a_mail_is_queued_at_the_senders_domain(box: Outbox) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
    box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
    ids = {row.message_id for row in box.rows()}
    assert len(ids) == 2
    for message_id in ids:
        assert message_id.startswith("<")
        assert message_id.endswith("@mailitwize.be>")


@pytest.mark.parametrize("kind", CHANGES)
def test_change_is_told_to_the_mailbox_and_to_the_recovery_address(box: Outbox, kind: NoticeKind) -> None:
    box.set(recovery_address="alice@example.org")
    assert box.tell(kind) == 2
    assert [row.recipient for row in box.rows()] == ["alice@mailitwize.be", "alice@example.org"]


@pytest.mark.parametrize("kind", LOGINS)
def test_what_is_about_logins_goes_to_the_mailbox_alone(box: Outbox, kind: NoticeKind) -> None:
    box.set(recovery_address="alice@example.org")
    assert box.tell(kind) == 1
    assert [row.recipient for row in box.rows()] == ["alice@mailitwize.be"]


def test_recovery_codes_go_to_the_recovery_address_and_the_mailbox_is_told_without_them(box: Outbox) -> None:
    box.set(recovery_address="alice@example.org")
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=True)
    mailbox, other = box.rows()
    assert (mailbox.recipient, box.content(mailbox)["facts"]) == ("alice@mailitwize.be", {"codes": [], "first": True})
    assert (other.recipient, box.content(other)["facts"]) == ("alice@example.org", {"codes": CODES, "first": True})


def test_recovery_codes_go_to_the_mailbox_where_there_is_no_other_address(box: Outbox) -> None:
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=False)
    (row,) = box.rows()
    assert (row.recipient, box.content(row)["facts"]["codes"]) == ("alice@mailitwize.be", CODES)


def test_link_that_confirms_an_address_goes_there_and_nowhere_else(box: Outbox) -> None:
    box.set(recovery_address="old@example.org")
    box.tell(NoticeKind.CONFIRM_ADDRESS, address="new@example.org", link="/link/x")
    assert [row.recipient for row in box.rows()] == ["new@example.org"]


def test_mail_is_in_the_accounts_language_else_in_the_providers(box: Outbox) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
    box.set(language="fr")
    box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
    assert [row.language for row in box.rows()] == ["en", "fr"]


def test_notice_that_may_come_once_comes_once_to_each_address(box: Outbox) -> None:
    box.set(recovery_address="alice@example.org")
    assert box.tell(NoticeKind.AUTHENTICATOR_REMOVED, once_key="removed 1") == 2
    assert box.tell(NoticeKind.AUTHENTICATOR_REMOVED, once_key="removed 1") == 0
    assert box.tell(NoticeKind.AUTHENTICATOR_REMOVED, once_key="removed 2") == 2
    assert len(box.rows()) == 4


def test_notice_goes_with_the_transaction_that_it_is_about(box: Outbox) -> None:
    """MAIL1: the row is in force if and only if the change is."""

    def change_that_fails() -> None:
        installation = box.world.installation
        with writing(installation.database) as connection:
            now = box.world.clock()
            installation.notices.tell(connection, box.account_id, NoticeKind.AUTHENTICATOR_REMOVED, ADMINISTRATOR, now)
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        change_that_fails()
    assert box.rows() == []


def test_sealed_content_opens_under_its_own_message_id_only(box: Outbox) -> None:
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=True)
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=True)
    one, other = box.rows()
    assert CODES[0].encode() not in one.content
    with pytest.raises(SealBroken):
        box.keyring().unseal(Purpose.OUTBOX, other.message_id, Sealed(one.key_id, one.content))


def test_account_that_is_gone_is_told_nothing(box: Outbox) -> None:
    box.world.installation.accounts.remove(box.name)
    assert box.tell(NoticeKind.AUTHENTICATOR_REMOVED) == 0
    assert box.rows() == []


@pytest.mark.parametrize("address", ["x@example.org\r\nBcc: y@example.org", "no address", "<x@example.org>", ""])
def test_recipient_that_is_no_address_is_refused_when_it_is_queued(box: Outbox, address: str) -> None:
    """MAIL2."""
    with pytest.raises(InvalidValue):
        box.tell(NoticeKind.CONFIRM_ADDRESS, address=address, link="/link/x")
    assert box.rows() == []

"""MAIL2: whatever an address is made of, what is let through can only be one address, on one line."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.core import mail_address, names
from mailauth.vocabulary.errors import InvalidName, InvalidValue
from tests.cases import case

ANYTHING = st.text(max_size=40) | st.text("abAB09.@-_+!#/%'\"<>()[],;: \r\n\t\x00\x7f\u2028\u00e9\ud800", max_size=40)


@given(ANYTHING, ANYTHING)
@example("a", "b.example\r\nBcc: c@d.example")
@example("a\n", "b.example")
@example("a\u2028b", "c.example")
@example("a,b@c.example,d", "e.example")
@example("\u00e9", "a.example")
def test_accepted_address_is_one_recipient_and_no_header_of_its_own(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    try:
        address = mail_address.checked(text)
    except InvalidValue:
        return
    assert address == text
    assert address.isprintable()
    assert not set(address) & set(' \r\n\t\x00<>()[],;:\\"')
    message = EmailMessage(SMTPUTF8)
    message["To"] = Address("", *address.split("@"))
    message.set_content("x")
    assert [found.addr_spec for found in message["To"].addresses] == [address]
    assert b"\r\nTo: " + address.encode() + b"\r\n" in b"\r\n" + message.as_bytes()


@given(st.text(max_size=40), st.sampled_from(["example.org", "bücher.example", "a.b-c.example"]))
def test_every_account_has_a_mailbox_that_mail_can_go_to(local: str, domain: str) -> None:
    try:
        account = names.canonicalise(f"{local}@{domain}", "example.org")
    except InvalidName:
        return
    assert mail_address.checked(account) == account


@pytest.mark.parametrize(
    "address", ["alice@mailitwize.be", "a.b+c/d%e@example.org", "o'neill@x.example", "zoë@example.org", "a@localhost"]
)
def test_plain_addresses_are_taken(address: str) -> None:
    assert mail_address.checked(address) == address


def test_everything_else_is_refused() -> None:
    for address in (
        "",
        "@",
        "a@",
        "@b",
        "a",
        "a@b@c",
        ".a@b.example",
        "a.@b.example",
        "a..b@c.example",
        "a@b..example",
        "a@-b.example",
        "a b@c.example",
        '"a b"@c.example',
        "a@[192.0.2.1]",
        "A <a@b.example>",
        "a@b.example.",
        f"{'a' * 250}@b.example",
        f"a@{'b.' * 130}example",
        "a@b_c.example",
        "a@b.example\n",
        " a@b.example",
    ):
        with case(address), pytest.raises(InvalidValue):
            mail_address.checked(address)

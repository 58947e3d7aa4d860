"""Which services there are, and which names mean the same."""

import pytest

from mailauth.core.services import KNOWN, PORTAL, checked, family, opens
from mailauth.vocabulary.errors import InvalidValue


@pytest.mark.parametrize(
    ("made_for", "asked"),
    [("smtp", "submission"), ("submission", "smtp"), ("sieve", "managesieve"), ("managesieve", "sieve")],
)
def test_two_names_of_one_service_open_each_other(made_for: str, asked: str) -> None:
    assert opens(frozenset({made_for}), asked)
    assert family(made_for) == family(asked)


@pytest.mark.parametrize("asked", ["imap", "pop3", "smtp", "submission", "sieve"])
def test_no_services_mean_every_mail_service(asked: str) -> None:
    assert opens(frozenset(), asked)


@pytest.mark.parametrize("asked", ["imap", "pop3", "sieve", "", "smtps"])
def test_services_open_nothing_else(asked: str) -> None:
    assert not opens(frozenset({"smtp"}), asked)


@pytest.mark.parametrize("services", [frozenset(), frozenset({PORTAL}), frozenset({"imap", PORTAL})])
def test_portal_is_never_opened(services: frozenset[str]) -> None:
    assert not opens(services, PORTAL)


@pytest.mark.parametrize("typed", ["imap", "IMAP", " Imap "])
def test_service_is_read_without_case_and_spaces(typed: str) -> None:
    assert checked(typed) == "imap"


def test_every_known_mail_service_can_be_named() -> None:
    for service in KNOWN:
        if service != PORTAL:
            assert checked(service) == service


@pytest.mark.parametrize("typed", ["", "imaps", "imap,pop3", "imap pop3", "\x00", "*"])
def test_unknown_service_is_refused_with_those_that_are_known(typed: str) -> None:
    with pytest.raises(InvalidValue, match=r"known are imap, pop3, smtp, .*, doveadm$"):
        checked(typed)


def test_portal_cannot_be_named() -> None:
    with pytest.raises(InvalidValue, match="never opens the portal"):
        checked("Portal")

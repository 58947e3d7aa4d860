"""What a source answers, and for which name it may be taken (EST2)."""

import pytest

from mailauth.core.source_entry import DomainPatterns, Misfit, SourceEntry, chosen
from mailauth.effects.sources.rows import Columns, entry_of
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import AccountName

ANNA, BERT = AccountName("anna@hoster.example"), AccountName("bert@hoster.example")
EVERYWHERE = DomainPatterns(["*"])


def entry(name: str, *aliases: str) -> SourceEntry:
    return SourceEntry("panel", AccountName(name), reply_name=name, aliases=frozenset(map(AccountName, aliases)))


def test_entry_is_taken_for_its_own_name_and_its_own_aliases_alone() -> None:
    assert chosen([entry(ANNA)], ANNA, EVERYWHERE) == entry(ANNA)
    assert chosen([entry(BERT, ANNA)], ANNA, EVERYWHERE) == entry(BERT, ANNA)
    assert chosen([], ANNA, EVERYWHERE) is None
    for other in (entry("ánna@hoster.example"), entry(BERT), entry("anna@hoster.test", "anna@hoster.org")):
        found = chosen([other], ANNA, EVERYWHERE)
        assert isinstance(found, Misfit), other
        assert other.name in found.why


def test_two_entries_for_one_name_are_nobody() -> None:
    found = chosen([entry(ANNA), entry(ANNA)], ANNA, EVERYWHERE)
    assert isinstance(found, Misfit)
    assert isinstance(chosen([entry(BERT, ANNA), entry("carl@x.example", ANNA)], ANNA, EVERYWHERE), Misfit)
    assert chosen([entry(BERT, ANNA), entry(ANNA)], ANNA, EVERYWHERE) == entry(ANNA), "an account is no alias"


def test_entry_of_a_domain_that_is_not_the_sources_is_not_taken() -> None:
    """A tenant writes another tenant's address into their own row."""
    own = DomainPatterns(["tenant.example"])
    assert isinstance(chosen([entry(ANNA, "x@tenant.example")], AccountName("x@tenant.example"), own), Misfit)


def test_domains_are_named_exactly_below_or_all() -> None:
    patterns = DomainPatterns(["hoster.example", "*.hoster.example"])
    for name, expected in (
        ("a@hoster.example", True),
        ("a@x.hoster.example", True),
        ("a@y.x.hoster.example", True),
        ("a@nothoster.example", False),
        ("a@example", False),
        ("a@hoster.example.org", False),
    ):
        assert patterns.include(AccountName(name)) is expected, name
    assert DomainPatterns(["a.example"]).only == "a.example"
    assert patterns.only is None


def test_row_is_read_as_tables_have_it() -> None:
    columns = Columns("panel", "hoster.example", ("userdb_quota_rule",))
    row = {
        "name": "Anna",
        "hash": b"{PLAIN}x",
        "uid": 7,
        "active": "Y",
        "language": "de_AT",
        "aliases": "info@hoster.example, Office",
        "alias_domains": "hoster.test",
        "allow_nets": "192.0.2.0/24",
        "userdb_quota_rule": "*:storage=5M",
    }
    found = entry_of(row, columns, {"hoster.example": ["hoster.org"]})
    assert (found.name, found.reply_name, found.uid, found.language) == (ANNA, "Anna", "7", "de")
    assert found.aliases == {
        *("info@hoster.example", "office@hoster.example", "anna@hoster.test", "anna@hoster.org"),
    }
    assert found.stored_hash == "{PLAIN}x"
    assert found.fields == (("userdb_quota_rule", "*:storage=5M"),)


@pytest.mark.parametrize("value", [1, True, "1", "yes", "Y", "t", b"\x01", "TRUE", "active"])
def test_state_that_reads_as_yes(value: object) -> None:
    assert entry_of({"name": ANNA, "active": value}, Columns("panel", "x"), {}).is_active


@pytest.mark.parametrize("value", [0, False, None, "0", "", "no", "N", b"\x00", "disabled"])
def test_state_that_reads_as_no(value: object) -> None:
    assert not entry_of({"name": ANNA, "active": value}, Columns("panel", "x"), {}).is_active


@pytest.mark.parametrize(
    "row",
    [
        {"name": ANNA, "active": "perhaps"},
        {"name": "a b@hoster.example"},
        {"name": None},
        {"hash": "{PLAIN}x"},
        {"name": ANNA, "allow_nets": "everywhere"},
        {"name": ANNA, "uid": "x" * 200},
        {"name": ANNA, "hash": "x" * 5000},
        {"name": b"\xff@hoster.example"},
    ],
)
def test_row_that_cannot_be_understood_is_refused_and_not_guessed(row: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        entry_of(row, Columns("panel", "hoster.example"), {})

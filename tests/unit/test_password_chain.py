"""Which password source is asked next, and what their answers come to: a table without a source."""

from itertools import product

import pytest

from mailauth.core.password_chain import (
    Answer,
    AskNext,
    Disabled,
    Expired,
    Right,
    Unanswered,
    UnknownUser,
    Wrong,
    next_step,
)
from mailauth.core.source_entry import Asked, DomainPatterns
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.effects.sources.fake import FakeSource
from mailauth.effects.sources.own import OwnTable
from mailauth.effects.sources.stored_hashes import StoredHashes
from mailauth.usecases.login.password_check import Link, PasswordCheck
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import AccountName
from tests.cases import case

ALICE = AccountName("alice@mailitwize.be")
ASKED = Asked(ALICE)
AWAY = SourceUnavailable("away")


def link(source: FakeSource) -> Link:
    return Link(source, DomainPatterns(["*"]))


def fallback() -> OwnTable:
    return OwnTable(StoredHashes(PasswordHasher(1, 64, 1), HashPool(1)))


def all_answers(source: str) -> list[Answer]:
    return [
        Right(source),
        Wrong(source),
        UnknownUser(source),
        Disabled(source),
        Expired(source),
        Unanswered(source, AWAY),
    ]


def test_first_source_is_asked_first() -> None:
    for sources in (1, 2, 5):
        assert next_step([True] * sources, []) == AskNext(0)


def test_only_an_unknown_user_lets_the_next_source_be_asked() -> None:
    for answer in all_answers("first"):
        with case(answer):
            expected = AskNext(1) if isinstance(answer, UnknownUser) else answer
            assert next_step([True, True], [answer]) == expected
            assert next_step([False, True], [answer]) == answer, "the source says that it is the only one"
            assert next_step([True], [answer]) == answer, "there is no next one"


def test_last_answer_is_what_the_chain_comes_to() -> None:
    for first, second in product(all_answers("first"), all_answers("second")):
        with case(first, second):
            if isinstance(first, UnknownUser):
                assert next_step([True, False], [first, second]) == second
            else:
                with pytest.raises(ValueError, match="no chain"):
                    next_step([True, False], [first, second])


def test_there_is_no_chain_without_a_source() -> None:
    with pytest.raises(ValueError, match="no chain of 0"):
        next_step([], [])
    with pytest.raises(ValueError, match="one source at least"):
        PasswordCheck([], fallback(), bytes)


async def test_sources_are_asked_in_order_until_one_knows_the_user() -> None:
    """A right password is right by the first source that knows its user, and by no other one."""
    for second in all_answers("second"):
        with case(second):
            one = FakeSource(lambda _name, _password: UnknownUser("first"))
            two = FakeSource(lambda _name, _password, answer=second: answer)
            three = FakeSource(lambda _name, _password: Right("third"))
            check = PasswordCheck([link(one), link(two), link(three)], fallback(), bytes)
            answer = await check.verify(await check.locate(ASKED, None), ASKED, None, b"pw")
            is_unknown = isinstance(second, UnknownUser)
            assert answer == (Right("third") if is_unknown else second)
            assert [len(source.asked) for source in (one, two, three)] == [1, 1, int(is_unknown)]
            assert one.asked == [(ALICE, b"pw")]


def test_all_sources_are_closed_and_described() -> None:
    sources = [FakeSource(lambda _name, _password: Wrong("fake")) for _ in range(2)]
    check = PasswordCheck([link(source) for source in sources], fallback(), bytes)
    assert check.described() == "a test, then a test"
    check.close()
    assert all(source.is_closed for source in sources)

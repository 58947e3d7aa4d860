"""The brake: how many accounts are taken away at once without a question."""

from mailauth.core.directory_brake import WHOLE_SOURCE, Tally, held


def is_held(accounts: int, wanted: int, recently: int = 0, *, part: int = 10, all_are_held: bool = True) -> bool:
    return "a" in held({"a": Tally(accounts, wanted, recently)}, part, all_are_held=all_are_held)


def test_more_than_a_tenth_is_held_where_it_is_more_than_a_few() -> None:
    assert not is_held(1000, 100)
    assert is_held(1000, 101)
    assert not is_held(50, 10), "a few"
    assert is_held(50, 11)
    assert is_held(40_000, 4001)


def test_all_of_a_domain_are_held_be_it_one() -> None:
    for accounts in (1, 3, 50):
        assert is_held(accounts, accounts)
        assert not is_held(accounts, accounts, all_are_held=False) or accounts > 10


def test_what_went_in_the_last_day_counts_along() -> None:
    assert not is_held(1000, 60, recently=40)
    assert is_held(1000, 60, recently=41)


def test_nothing_is_held_where_nothing_is_wanted() -> None:
    assert held({"a": Tally(1000, 0, 999), "b": Tally(0, 0)}, 10, all_are_held=True) == frozenset()


def test_a_little_of_each_domain_is_much_of_the_source() -> None:
    tallies = {f"d{n}.example": Tally(20, 3) for n in range(50)}
    assert held(tallies, 10, all_are_held=True) == {WHOLE_SOURCE}


def test_a_third_is_the_most_for_those_that_are_marked() -> None:
    assert not is_held(300, 100, part=3, all_are_held=False)
    assert is_held(300, 101, part=3, all_are_held=False)

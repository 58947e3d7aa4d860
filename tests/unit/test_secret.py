"""KEY3, AUD1: a Secret does not show itself, whatever is done to it by mistake."""

import copy
import json
import pickle

import pytest

from mailauth.vocabulary.model import Attempt
from mailauth.vocabulary.secret import Secret

CANARY = b"canary-horse"


@pytest.mark.parametrize("show", [repr, str, format, ascii, "{}".format, "{!r}".format, "%s".__mod__, "%r".__mod__])
def test_secret_is_shown_as_dots(show: object) -> None:
    assert show(Secret(CANARY)) == "Secret(...)"  # type: ignore[operator]


def test_secret_is_hidden_inside_what_holds_it() -> None:
    attempt = Attempt("alice", Secret(CANARY), "imap")
    for shown in (repr(attempt), str(attempt), f"{attempt}", str([attempt._asdict()])):
        assert "canary" not in shown
        assert "Secret(...)" in shown


def test_secret_cannot_be_formatted_with_a_width() -> None:
    with pytest.raises(TypeError):
        format(Secret(CANARY), ">20")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(CANARY), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_secret_is_not_copied(duplicate: object) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        duplicate(Secret(CANARY))  # type: ignore[operator]


def test_secret_is_not_json() -> None:
    with pytest.raises(TypeError) as refused:
        json.dumps({"secret": Secret(CANARY)})
    assert "canary" not in str(refused.value)


def test_secret_has_no_hash_so_that_it_is_no_dictionary_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(CANARY))


def test_secret_has_no_attributes_to_list() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret(CANARY + b"!")
    assert Secret(CANARY) != Secret(b"")
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY).__eq__(CANARY) is NotImplemented


def test_secret_gives_its_bytes_and_length_when_asked() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert len(Secret(CANARY)) == len(CANARY)

"""docs/requirements.md: every requirement that is cited is defined there, and every test that it names exists."""

import re
from collections import Counter
from pathlib import Path

from tests.cases import case

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
PAGE = REPOSITORY / "docs" / "requirements.md"
ROW = re.compile(r"^\| ([A-Z]+\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)
"""ID and what shows it."""
TEST = re.compile(r"`(\S+?\.py)(?:::(\w+))?`")
CITING = ("mailauth", "pam_module", "tests", "deploy")
SUFFIXES = {".py", ".c", ".h", ".8", ".lua", ".conf", ".cf", ".service", ".socket", ""}
AT_THE_HEAD = re.compile(r'^\s*"""((?:[A-Z]{2,5}\d{1,2}(?:, | and |: ))+)', re.MULTILINE)
"""How a test's docstring cites."""


def rows() -> list[tuple[str, str]]:
    return ROW.findall(PAGE.read_text())


def sources() -> dict[Path, str]:
    paths = (path for folder in CITING for path in (REPOSITORY / folder).rglob("*"))
    files = (path for path in paths if path.is_file() and path.suffix in SUFFIXES and "build" not in path.parts)
    return {path: path.read_text(errors="replace") for path in files if path != Path(__file__)}


def test_each_requirement_is_defined_once() -> None:
    defined = Counter(name for name, _ in rows())
    assert [name for name, times in defined.items() if times > 1] == []
    assert len(defined) > 60


def test_each_requirement_that_is_cited_is_defined() -> None:
    defined = {name for name, _ in rows()}
    areas = {name.rstrip("0123456789") for name in defined} - {"F"}
    cited = re.compile(rf"\b(?:{'|'.join(sorted(areas))})[1-9]\d?\b")
    for path, text in sources().items():
        heads = re.findall(r"[A-Z]+\d+", " ".join(AT_THE_HEAD.findall(text)))
        with case(path):
            assert {*cited.findall(text), *heads} - defined == set()


def test_each_test_that_shows_a_requirement_exists() -> None:
    for name, shown in rows():
        with case(name):
            found = TEST.findall(shown)
            assert found
            for file, function in found:
                text = (TESTS / file).read_text()
                assert not function or re.search(rf"^(?:async )?def {function}\(", text, re.MULTILINE), function

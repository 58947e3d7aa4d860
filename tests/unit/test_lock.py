"""The lock: two installations of a security product are the same, and what was tested is what is installed."""

import configparser
import re
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cases import case

REPOSITORY = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-ldap.lock")


@cache
def locked(name: str) -> dict[str, str]:
    """Return the version of each package in a lock."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (REPOSITORY / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def wanted(*extras: str) -> list[Requirement]:
    """Return what setup.cfg asks for, with the ranges."""
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    texts = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in extras)]
    found = [Requirement(line) for text in texts for line in text.split("\n") if line and not line.startswith("#")]
    assert len(found) > 20
    return found


def test_lock_holds_a_version_in_range_of_all_that_is_asked_for() -> None:
    for name, extras in zip(LOCKS, (("fast",), ("fast", "dev"), ("fast", "ldap")), strict=True):
        for requirement in wanted(*extras):
            with case(name, str(requirement), "run: make lock"):
                assert locked(name)[canonicalize_name(requirement.name)] in requirement.specifier


def test_what_is_tested_is_what_is_installed() -> None:
    run, *others = map(locked, LOCKS)
    for other in others:
        assert {package: other.get(package) for package in run} == run


def test_every_version_has_the_hashes_of_its_files() -> None:
    for name in LOCKS:
        for entry in re.split(r"^(?=[A-Za-z0-9])", (REPOSITORY / name).read_text(), flags=re.MULTILINE):
            with case(name, entry):
                assert not entry or re.search(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", entry, re.MULTILINE)

"""A source that counts wrong passwords and locks accounts: mailauth must not be how that happens."""

from datetime import timedelta

import pytest

from mailauth.core.password_chain import Answer, Right, Wrong
from mailauth.core.source_entry import DomainPatterns
from mailauth.core.wrong_secrets import COUNTED_FOR_S, SAME_FOR_S
from mailauth.effects.sources.fake import FakeSource
from mailauth.usecases.login.password_check import Link
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from tests.world import CUTOVER, World, WorldMaker

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"


def right_or_wrong(_name: AccountName, password: bytes) -> Answer:
    return Right("directory") if password == PASSWORD.encode() else Wrong("directory")


class Directory:
    """A world whose passwords a directory checks, that would lock an account at the fifth wrong one."""

    def __init__(self, make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world: World = make_world(now=CUTOVER - timedelta(days=30))
        self.source = FakeSource(right_or_wrong, "directory")
        self.now = 0.0
        check = self.world.installation.passwords
        link = Link(self.source, DomainPatterns(["*"]), makes_accounts=True, hard_limit=4)
        monkeypatch.setattr(check, "links", (link,))
        monkeypatch.setattr(check, "_monotonic", lambda: self.now)

    async def login(self, secret: str, client: str = "192.0.2.7") -> object:
        return (await self.world.login(ANNA, secret, client=client)).reason

    @property
    def asked(self) -> int:
        return len(self.source.asked)


@pytest.fixture
def directory(make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch) -> Directory:
    return Directory(make_world, monkeypatch)


async def test_phone_with_an_old_password_is_passed_on_once(directory: Directory) -> None:
    for _ in range(50):
        assert await directory.login("old password") is WhyDenied.PASSWORD_WRONG
        directory.now += 10
    assert directory.asked == 1
    directory.now = SAME_FOR_S
    assert await directory.login("old password") is WhyDenied.PASSWORD_WRONG
    assert directory.asked == 2


async def test_guesses_are_passed_on_below_the_lock_and_the_last_from_home_alone(directory: Directory) -> None:
    assert await directory.login(PASSWORD) is WhyGranted.BEFORE_CUTOVER  # so that home is familiar
    for number in range(10):
        expected = WhyDenied.PASSWORD_WRONG if number < 2 else WhyUnavailable.SOURCE_UNAVAILABLE
        assert await directory.login(f"guess {number}", f"198.51.100.{number}") is expected
    assert directory.asked == 3
    for number in range(5):
        expected = WhyDenied.PASSWORD_WRONG if number < 2 else WhyUnavailable.SOURCE_UNAVAILABLE
        assert await directory.login(f"typo {number}") is expected
    assert directory.asked == 5
    directory.now = COUNTED_FOR_S
    assert await directory.login("yet another", "203.0.113.5") is WhyDenied.PASSWORD_WRONG


async def test_right_password_ends_the_count(directory: Directory) -> None:
    for _ in range(3):
        assert await directory.login("typo 1") is WhyDenied.PASSWORD_WRONG
        assert await directory.login(PASSWORD, f"198.51.100.{directory.asked}") is WhyGranted.BEFORE_CUTOVER
    assert [password for _, password in directory.source.asked].count(b"typo 1") == 3


async def test_what_has_the_form_of_an_app_password_is_never_passed_on(directory: Directory) -> None:
    await directory.login(PASSWORD)
    token = directory.world.installation.app_passwords.make(ANNA, "phone").password
    before = directory.asked
    assert (await directory.world.login(ANNA, token, service="portal")).reason is not WhyGranted.TO_ENROL
    assert directory.asked == before

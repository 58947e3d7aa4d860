"""Every state of an account against every kind of credential: one table, one verdict each (ENU3, REC3, APP3)."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from mailauth.vocabulary.model import AccountName, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.world import CUTOVER, Person, World, WorldMaker

STATES = ("not enrolled", "enrolled", "exempt", "exempt and enrolled", "disabled", "disabled and enrolled", "unknown")
CREDENTIALS = (
    "password",
    "wrong password",
    "password + code",
    "password + wrong code",
    "wrong password + code",
    "code alone",
    "password + recovery code",
    "wrong password + recovery code",
    "recovery code alone",
    "password + wrong recovery code",
    "app password",
    "password + app password",
)
BOTH = Credential.PASSWORD_AND_CODE
RECOVERY = Credential.PASSWORD_AND_RECOVERY_CODE

ENROLLED: dict[str, object] = {
    "password": WhyDenied.CODE_MISSING,
    "wrong password": WhyDenied.PASSWORD_WRONG,
    "password + code": BOTH,
    "password + wrong code": WhyDenied.CODE_WRONG,
    "wrong password + code": WhyDenied.PASSWORD_WRONG,
    "code alone": WhyDenied.PASSWORD_WRONG,
    "password + recovery code": RECOVERY,
    "wrong password + recovery code": WhyDenied.PASSWORD_WRONG,
    "recovery code alone": WhyDenied.PASSWORD_WRONG,
    "password + wrong recovery code": WhyDenied.RECOVERY_CODE_WRONG,
    "app password": Credential.APP_PASSWORD,
    "password + app password": WhyDenied.PASSWORD_WRONG,
}
PASSWORD_ALONE: dict[str, object] = dict.fromkeys(CREDENTIALS, WhyDenied.PASSWORD_WRONG) | {
    "app password": Credential.APP_PASSWORD
}
ALL: dict[str, dict[str, dict[str, Any]]] = {
    "before": {
        "not enrolled": PASSWORD_ALONE | {"password": WhyGranted.BEFORE_CUTOVER},
        "enrolled": ENROLLED,
        "exempt": PASSWORD_ALONE | {"password": WhyGranted.EXEMPT},
        "exempt and enrolled": ENROLLED,
        "disabled": dict.fromkeys(CREDENTIALS, WhyDenied.ACCOUNT_DISABLED),
        "disabled and enrolled": dict.fromkeys(CREDENTIALS, WhyDenied.ACCOUNT_DISABLED),
        "unknown": dict.fromkeys(CREDENTIALS, WhyDenied.ACCOUNT_UNKNOWN)
        | {"app password": WhyDenied.APP_PASSWORD_UNKNOWN},
    },
}
ALL["after"] = ALL["before"] | {"not enrolled": PASSWORD_ALONE | {"password": WhyDenied.NOT_ENROLLED}}
LETS_IN = {WhyGranted.BEFORE_CUTOVER, WhyGranted.EXEMPT}


def account_in(world: World, state: str, name: str) -> Person:
    """Make an account that is in a state."""
    if state == "unknown":
        return Person(AccountName(f"{name}@mailitwize.be"), "correct horse", bytes(20))
    if state == "exempt and enrolled":  # in this order; an enrolled account takes no exemption
        world.add(name)
        world.installation.accounts.exempt(name, world.clock().replace(year=2030), "a service account")
        return enrol_existing(world, name)
    person = world.enrol(name) if "enrolled" in state and state != "not enrolled" else world.add(name)
    if "exempt" in state:
        world.installation.accounts.exempt(person.name, world.clock().replace(year=2030), "a service account")
    return person


def enrol_existing(world: World, name: str) -> Person:
    """Enrol an account that is there."""
    begun = world.installation.enrolment.begin(name)
    person = Person(begun.account, "correct horse", base64.b32decode(begun.secret))
    world.installation.enrolment.confirm(name, Secret(person.code(world.clock(), -1).encode()))
    return person


def secret_in(world: World, person: Person, credential: str, *, exists: bool) -> str:
    """Make a secret of a kind; what the account cannot have is what somebody else's would look like."""
    code = person.code(world.clock()) if person.seed else "123456"
    wrong_code = f"{(int(code) + 1) % 10**6:06}"
    recovery = "k7qm-2xvp-9hfd-c3wn"
    if person.seed and exists:
        recovery = world.installation.recovery_codes.issue(person.name)[1][0]
    owner = person.name if exists else world.add(f"not-{person.name}").name
    app_password = world.installation.app_passwords.make(owner, "phone").password
    return {
        "password": person.password,
        "wrong password": "wrong horse",
        "password + code": person.password + code,
        "password + wrong code": person.password + wrong_code,
        "wrong password + code": "wrong horse" + code,
        "code alone": code,
        "password + recovery code": person.password + recovery,
        "wrong password + recovery code": "wrong horse" + recovery,
        "recovery code alone": recovery,
        "password + wrong recovery code": person.password + "zzzz-2222-zzzz-2222",
        "app password": app_password,
        "password + app password": person.password + app_password,
    }[credential]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_verdicts_of_an_account_state_on_every_credential(make_world: WorldMaker, when: str, state: str) -> None:
    world = make_world(now=CUTOVER + timedelta(days=30 if when == "after" else -30))
    for number, credential in enumerate(CREDENTIALS):
        person = account_in(world, state, f"person{number}")
        secret = secret_in(world, person, credential, exists=state != "unknown")
        if "disabled" in state:
            world.installation.accounts.set_disabled(person.name, disabled=True)
        verdict = await world.login(person.name, secret)
        expected = ALL[when][state][credential]
        if isinstance(expected, Credential):
            assert isinstance(verdict, Granted), (credential, verdict)
            assert verdict.credential is expected, credential
        elif expected in LETS_IN:
            assert verdict == Granted(person.name, Credential.PASSWORD, expected), credential
        else:
            assert isinstance(verdict, Denied), (credential, verdict)
            assert verdict.reason is expected, credential
        assert verdict.account == person.name, credential


@pytest.mark.parametrize("second", ["code", "recovery code"])
async def test_wrong_password_burns_no_second_factor(world: World, second: str) -> None:
    alice = world.enrol("alice")
    recovery = world.installation.recovery_codes.issue(alice.name)[1][0]
    factor = alice.code(world.clock()) if second == "code" else recovery
    for guess in ("", "wrong horse", "correct hors", "correct horse "):
        verdict = await world.login("alice", guess + factor)
        assert isinstance(verdict, Denied)
        assert not verdict.password_was_right
    assert isinstance(await world.login("alice", alice.password + factor), Granted)


async def test_wrong_code_burns_no_code(world: World) -> None:
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    wrong = f"{(int(code) + 1) % 10**6:06}"
    verdict = await world.login("alice", alice.password + wrong)
    assert verdict == Denied(WhyDenied.CODE_WRONG, alice.name, password_was_right=True)
    assert isinstance(await world.login("alice", alice.password + code), Granted)


async def test_denial_says_to_the_log_whether_the_password_was_right(world: World) -> None:
    alice = world.enrol("alice")
    assert await world.login("alice", alice.password) == Denied(
        WhyDenied.CODE_MISSING, alice.name, password_was_right=True
    )
    assert await world.login("alice", "wrong horse000000") == Denied(WhyDenied.PASSWORD_AND_CODE_WRONG, alice.name)


@pytest.mark.parametrize(
    "secret", ["", "\x00", "correct horse\x00", "correct\nhorse", "tab\there", "\x7f", "x" * 513, "é" * 257]
)
async def test_secret_that_cannot_be_one_is_refused_before_any_hash(world: World, secret: str) -> None:
    # PW2
    world.add("alice")
    hashed: list[bytes] = []
    world.own_table.hasher.verify = lambda stored, password, name="", default_scheme="": hashed.append(password)  # type: ignore[assignment,method-assign,return-value]
    verdict = await world.login("alice", secret)
    assert verdict == Denied(WhyDenied.SECRET_MALFORMED, AccountName("alice@mailitwize.be"))
    assert hashed == []


@pytest.mark.parametrize(
    "name", ["", "@", "a b", "alice@", "@mailitwize.be", "a\x00b", "alice\n", "../alice", "a" * 300]
)
async def test_name_that_cannot_be_one_is_refused(world: World, name: str) -> None:
    world.add("alice")
    assert await world.login(name, "correct horse") == Denied(WhyDenied.NAME_MALFORMED)


async def test_password_may_end_in_what_reads_as_a_code_while_not_enrolled(make_world: WorldMaker) -> None:
    world = make_world(now=CUTOVER.replace(day=1))
    world.add("alice", "swordfish123456")
    world.add("bob", "swordfishk7qm-2xvp-9hfd-c3wn")
    assert isinstance(await world.login("alice", "swordfish123456"), Granted)
    assert isinstance(await world.login("bob", "swordfishk7qm-2xvp-9hfd-c3wn"), Granted)
    assert isinstance(await world.login("alice", "swordfish"), Denied)


async def test_password_that_ends_in_digits_works_with_a_code_behind_it(world: World) -> None:
    alice = world.enrol("alice", "swordfish123456")
    assert isinstance(await world.login("alice", "swordfish123456"), Denied)
    assert isinstance(await world.login("alice", "swordfish123456" + alice.code(world.clock())), Granted)


async def test_password_of_digits_alone_is_no_code_for_the_empty_password(world: World) -> None:
    alice = world.enrol("alice", "123456")
    assert isinstance(await world.login("alice", "123456"), Denied)
    assert isinstance(await world.login("alice", alice.code(world.clock())), Denied)
    assert isinstance(await world.login("alice", "123456" + alice.code(world.clock())), Granted)

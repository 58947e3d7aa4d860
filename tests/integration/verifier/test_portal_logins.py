"""WEB5, LIM4: the portal's logins, against every credential, and the password that it asks for again."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailauth.vocabulary.model import Ask, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.cases import case
from tests.world import CUTOVER, Person, World, WorldMaker

BOTH = Credential.PASSWORD_AND_CODE
RECOVERY = Credential.PASSWORD_AND_RECOVERY_CODE
CREDENTIALS = {
    # of a not enrolled account before the cut-over, after it, and of an enrolled one at any time
    "password": (WhyGranted.BEFORE_CUTOVER, WhyGranted.TO_ENROL, WhyDenied.CODE_MISSING),
    "wrong password": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG),
    "password + code": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, BOTH),
    "password + wrong code": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, WhyDenied.CODE_WRONG),
    "wrong password + code": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG),
    "code alone": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG),
    "password + recovery code": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, RECOVERY),
    "recovery code alone": (WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG, WhyDenied.PASSWORD_WRONG),
    "app password": (WhyDenied.APP_PASSWORD_SERVICE, WhyDenied.APP_PASSWORD_SERVICE, WhyDenied.APP_PASSWORD_SERVICE),
}


async def confirm_password(world: World, name: str, secret: str, **other: object) -> Verdict:
    """Return the verdict on a password that is asked for alone."""
    fields = {"service": "portal", "client": ip_address("192.0.2.7"), "ask": Ask.PASSWORD} | other
    return await world.installation.verifier.verify(Attempt(name, Secret(secret.encode()), **fields))  # type: ignore[arg-type]


def secret_of(world: World, person: Person, credential: str) -> str:
    code = person.code(world.clock()) if person.seed else "123456"
    recovery = "k7qm-2xvp-9hfd-c3wn"
    if person.seed:
        recovery = world.installation.recovery_codes.issue(person.name)[1][0]
    return {
        "password": person.password,
        "wrong password": "wrong horse",
        "password + code": person.password + code,
        "password + wrong code": person.password + f"{(int(code) + 1) % 10**6:06}",
        "wrong password + code": "wrong horse" + code,
        "code alone": code,
        "password + recovery code": person.password + recovery,
        "recovery code alone": recovery,
        "app password": world.installation.app_passwords.make(person.name, "phone").password,
    }[credential]


@pytest.mark.parametrize("days", [-30, 30])
@pytest.mark.parametrize("is_enrolled", [False, True])
async def test_portal_needs_the_second_factor_once_enrolled(
    make_world: WorldMaker, is_enrolled: bool, days: int
) -> None:
    world = make_world(now=CUTOVER + timedelta(days=days))
    for number, (credential, (before, after, enrolled)) in enumerate(CREDENTIALS.items()):
        with case(credential):
            person = world.enrol(f"person{number}") if is_enrolled else world.add(f"person{number}")
            verdict = await world.login(person.name, secret_of(world, person, credential), service="portal")
            expected = enrolled if is_enrolled else before if days < 0 else after
            if isinstance(expected, Credential):
                assert verdict == Granted(person.name, expected, WhyGranted.SECOND_FACTOR_GIVEN)
            elif isinstance(expected, WhyGranted):
                assert verdict == Granted(person.name, Credential.PASSWORD, expected)
            else:
                assert isinstance(verdict, Denied)
                assert verdict.reason is expected


async def test_no_other_service_lets_in_who_has_to_enrol(world: World) -> None:
    alice = world.add("alice")
    for service in ("imap", "pop3", "smtp", "submission", "sieve", "", "Portal"):
        with case(service):
            verdict = await world.login("alice", alice.password, service=service)
            assert verdict == Denied(WhyDenied.NOT_ENROLLED, alice.name, password_was_right=True)


@pytest.mark.parametrize("days", [-30, 30])
@pytest.mark.parametrize("is_enrolled", [False, True])
async def test_password_is_confirmed_alone_whatever_the_account_s_state(
    make_world: WorldMaker, is_enrolled: bool, days: int
) -> None:
    world = make_world(now=CUTOVER + timedelta(days=days))
    passwords = ("correct horse", "swordfish123456", "swordfishk7qm-2xvp-9hfd-c3wn")
    for number, password in enumerate(passwords):
        with case(password):
            name = f"person{number}"
            person = world.enrol(name, password) if is_enrolled else world.add(name, password)
            right = Granted(person.name, Credential.PASSWORD, WhyGranted.PASSWORD_CONFIRMED)
            assert await confirm_password(world, name, password) == right
            wrong = Denied(WhyDenied.PASSWORD_WRONG, person.name)
            assert await confirm_password(world, name, password + "1") == wrong


async def test_password_confirmed_alone_spends_no_code(world: World) -> None:
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert await confirm_password(world, "alice", secret) == Denied(WhyDenied.PASSWORD_WRONG, alice.name)
    assert isinstance(await world.login("alice", secret), Granted)


async def test_password_alone_is_confirmed_for_the_portal_only(world: World) -> None:
    alice = world.enrol("alice")
    hashed = count_hashes(world)
    for service in ("imap", "smtp", "pop3", "sieve", "", "PORTAL", "portal2"):
        with case(service):
            verdict = await confirm_password(world, "alice", alice.password, service=service)
            assert verdict == Denied(WhyDenied.REQUEST_MALFORMED, alice.name)
            assert hashed == []


async def test_proof_is_asked_by_nobody_but_the_portal(world: World) -> None:
    """It passes by what is remembered, and no mail client has a session to prove it in."""
    alice = world.enrol("alice")
    verdict = await confirm_password(world, "alice", alice.password, ask=Ask.PROOF, service="imap")
    assert verdict == Denied(WhyDenied.REQUEST_MALFORMED, alice.name)


def count_hashes(world: World) -> list[bytes]:
    """Return a list that grows by each password that is hashed from now on."""
    hashed: list[bytes] = []
    hasher = world.own_table.hasher
    verify = hasher.verify

    def counted(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        hashed.append(password)
        return bool(verify(stored, password))

    hasher.verify = counted  # type: ignore[method-assign]
    return hashed


@pytest.mark.parametrize("name", ["alice", "bob", "nobody"])
async def test_password_confirmed_alone_costs_one_hash_always(world: World, name: str) -> None:
    """ENU2, also for what is shaped like an app password."""
    world.enrol("alice")
    world.add("bob")
    token = world.installation.app_passwords.make("bob", "phone").password
    hashed = count_hashes(world)
    secrets = ["correct horse", "wrong horse", "123456", "correct horse123456", token]
    for secret in secrets:
        await confirm_password(world, name, secret)
    assert hashed == [secret.encode() for secret in secrets]


async def test_password_confirmed_alone_is_counted_like_any_password(make_world: WorldMaker) -> None:
    """LIM4: guesses in the portal and over IMAP are charged to the same meters."""
    world = make_world("limits.account_and_source_burst=5")
    world.add("alice")
    for number in range(3):
        assert isinstance(await confirm_password(world, "alice", f"guess{number}123456"), Denied)
        assert isinstance(await world.login("alice", f"guess{number}"), Denied if number < 2 else Unavailable)
    assert isinstance(await confirm_password(world, "alice", "correct horse"), Unavailable)


async def test_password_confirmed_alone_is_not_remembered(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret, service="portal"), Granted)
    assert isinstance(await confirm_password(world, "alice", secret), Denied), "the memory has answered"
    for _ in range(2):
        verdict = await confirm_password(world, "alice", alice.password)
        assert verdict == Granted(alice.name, Credential.PASSWORD, WhyGranted.PASSWORD_CONFIRMED)
    assert isinstance(await world.login("alice", alice.password, service="portal"), Denied)


@pytest.mark.parametrize("is_enrolled", [False, True])
async def test_password_alone_makes_no_network_familiar(make_world: WorldMaker, is_enrolled: bool) -> None:
    world = make_world("limits.account_burst=5", "limits.account_interval_s=3600")
    alice = world.enrol("alice") if is_enrolled else world.add("alice")
    assert isinstance(await confirm_password(world, "alice", alice.password), Granted)
    if not is_enrolled:
        assert isinstance(await world.login("alice", alice.password, service="portal"), Granted)
    for number in range(6):
        await world.login("alice", f"guess{number}", client=f"198.51.100.{number}")
    assert isinstance(await world.login("alice", "another", client="192.0.2.7"), Unavailable)


async def test_throttled_login_says_when_to_try_again(make_world: WorldMaker) -> None:
    world = make_world("limits.account_and_source_burst=3", "limits.account_and_source_interval_s=600")
    alice = world.enrol("alice")
    for number in range(3):
        await world.login("alice", f"guess{number}", service="portal")
    throttled = await world.login("alice", "guess", service="portal")
    assert isinstance(throttled, Unavailable)
    assert throttled.retry_after_s is not None
    assert 590 < throttled.retry_after_s <= 600
    world.clock.advance(seconds=throttled.retry_after_s - 2)
    assert isinstance(await world.login("alice", "guess", service="portal"), Unavailable)
    world.clock.advance(seconds=2)
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret, service="portal"), Granted)


async def test_throttled_login_waits_for_the_last_of_its_limits_to_recover(make_world: WorldMaker) -> None:
    world = make_world(
        "limits.account_and_source_burst=3",
        "limits.account_and_source_interval_s=60",
        "limits.account_burst=3",
        "limits.account_interval_s=900",
    )
    world.add("alice")
    for number in range(3):
        await world.login("alice", f"guess{number}", service="portal")
    throttled = await world.login("alice", "guess", service="portal")
    assert isinstance(throttled, Unavailable)
    assert throttled.retry_after_s is not None
    assert 890 < throttled.retry_after_s <= 900


async def test_spent_code_opens_the_portal_to_nobody_and_proves_it_again_in_the_session_that_it_opened(
    make_world: WorldMaker,
) -> None:
    """A network is not a person: who has seen the code, and sits behind the same address, stays outside."""
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    sessions, origin = world.installation.sessions, Origin("portal", ip_address("192.0.2.7"))
    cookies = []
    for _ in range(2):
        world.clock.advance(seconds=30)
        secret = "correct horse" + alice.code(world.clock())
        granted = await world.login("alice", secret, "portal")
        assert isinstance(granted, Granted)
        cookies.append(sessions.open(granted, origin))
    refused = await world.login("alice", secret, "portal")
    assert isinstance(refused, Denied)
    assert refused.reason is WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT
    other, ours = (sessions.load(cookie) for cookie in cookies)
    assert other is not None
    assert ours is not None
    proof = Attempt("alice", Secret(secret.encode()), "portal", origin.client, session=str(ours.id), ask=Ask.PROOF)
    assert isinstance(await world.installation.verifier.verify(proof), Granted)
    for elsewhere in (
        proof._replace(client=ip_address("192.0.2.8")),
        proof._replace(session=str(other.id)),
        proof._replace(session=""),
    ):
        assert isinstance(await world.installation.verifier.verify(elsewhere), Denied)

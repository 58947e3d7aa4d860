from mailauth.vocabulary.model import AccountName, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.world import World


async def test_password_and_code_are_granted_once(world: World) -> None:
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert await world.login("Alice", secret) == Granted(
        alice.name, Credential.PASSWORD_AND_CODE, WhyGranted.SECOND_FACTOR_GIVEN
    )
    assert await world.login("alice", secret) == Denied(
        WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT, alice.name, password_was_right=True
    )


async def test_unknown_account_is_denied_by_name(world: World) -> None:
    assert await world.login("nobody", "x") == Denied(WhyDenied.ACCOUNT_UNKNOWN, AccountName("nobody@mailitwize.be"))

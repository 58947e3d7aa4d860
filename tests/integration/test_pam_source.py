"""The first factor from PAM, through python-pam and the machine's real libpam.

/etc/pam.d is replaced by a directory of the test's in a mount namespace of its own; pam_matrix (of libpam-wrapper)
stands for the modules that a system has.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

IN_NAMESPACE = """
import asyncio, json, sys
from pathlib import Path
from mailauth.effects.store import accounts
from tests.world import World

async def main(directory, logins):
    world = World(directory, 'password.source="pam"', 'password.pam_service="' + sys.argv[3] + '"', *sys.argv[4:])
    with world.installation.database.writing() as connection:  # past the check that `account add` makes
        for name in ("anna@mailitwize.be", "carol@mailitwize.be", "zoe@mailitwize.be", "anna@tenant2.example"):
            accounts.add(connection, name, None, world.clock())
    world.installation.accounts.add_alias("anna", "info")
    import base64
    from mailauth.core import otp
    from mailauth.vocabulary.secret import Secret
    begun = world.installation.enrolment.begin("anna")
    seed = base64.b32decode(begun.secret)
    step = otp.step_at(world.clock())
    world.installation.enrolment.confirm("anna", Secret(otp.code_at(seed, step - 1).encode()))
    out = []
    for name, secret in logins:
        verdict = await world.login(name, secret.replace("CODE", otp.code_at(seed, step)))
        out.append([type(verdict).__name__, verdict.reason.value])
    world.close()
    print(json.dumps(out))

asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
"""


def matrix_module() -> Path:
    found = sorted(Path("/usr/lib").glob("*/pam_wrapper/pam_matrix.so"))
    assert found, "the package libpam-wrapper is missing: run deploy/bootstrap test"
    return found[0]


PAM_USERS = ("anna", "carol", "info", "anna@tenant2.example", "carol@mailitwize.be")
COMPOSED, DECOMPOSED = "p\u00e4ssword", "pa\u0308ssword"
LOCAL_PART = 'password.pam_local_part_domains=["MailITWize.be"]'


def verdicts(
    tmp_path: Path, service: str, logins: list[tuple[str, str]], *settings: str, local_part: str = LOCAL_PART
) -> list[list[str]]:
    services = tmp_path / "pam.d"
    services.mkdir(exist_ok=True)
    (tmp_path / "world").mkdir()
    users = tmp_path / "users"
    users.write_text("".join(f"{user}:{user}'s password:mail\n" for user in PAM_USERS) + f"zoe:{DECOMPOSED}:mail\n")
    matrix = f"{matrix_module()} passdb={users}"
    (services / "mail").write_text(f"auth required {matrix}\naccount required {matrix}\n")
    (services / "broken").write_text("auth required /nonexistent/pam_missing.so\naccount required pam_permit.so\n")
    (services / "slow").write_text("auth required pam_exec.so quiet /bin/sleep 3\naccount required pam_permit.so\n")
    (services / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
    inside = 'mount --bind "$1" /etc/pam.d && shift && exec "$@"'
    settings = (service, local_part, *settings)
    python = [sys.executable, "-c", IN_NAMESPACE, str(tmp_path / "world"), json.dumps(logins), *settings]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", str(services), *python],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result: list[list[str]] = json.loads(done.stdout)
    return result


def test_password_of_pam_and_code_of_ours_are_both_needed(tmp_path: Path) -> None:
    logins = [
        ("anna", "anna's password000000"),
        ("anna", "wrongCODE"),
        ("anna", "anna's password"),
        ("anna", "CODE"),
        ("anna", "anna's passwordCODE"),
        ("anna", "anna's passwordCODE"),
        ("carol", "carol's password"),
        ("nobody", "x"),
    ]
    assert verdicts(tmp_path, "mail", logins) == [
        ["Denied", "code-wrong"],
        ["Denied", "password-wrong"],
        ["Denied", "code-missing"],
        ["Denied", "password-wrong"],
        ["Granted", "second-factor-given"],
        ["Denied", "code-replayed-by-same-client"],
        ["Denied", "not-enrolled"],
        ["Denied", "account-unknown"],
    ]


@pytest.mark.parametrize(
    ("service", "settings", "reason"),
    [("broken", (), "source-unavailable"), ("slow", ("server.deadline_s=1",), "deadline")],
)
def test_what_pam_cannot_say_is_unavailable(
    tmp_path: Path, service: str, settings: tuple[str, ...], reason: str
) -> None:
    assert verdicts(tmp_path, service, [("anna", "anna's passwordCODE")], *settings) == [["Unavailable", reason]]


def test_absent_service_denies(tmp_path: Path) -> None:
    """Linux-PAM falls back to the service `other`, which denies on every sane system."""
    assert verdicts(tmp_path, "absent", [("anna", "anna's passwordCODE")]) == [["Denied", "password-wrong"]]


def test_account_is_asked_for_by_its_full_name_except_in_domains_that_are_named(tmp_path: Path) -> None:
    """NAME2: the Unix user `anna` of one domain is nobody in another one, and an alias is its account's user."""
    before = 'cutover.date="2030-01-01T00:00Z"'
    logins = [
        ("anna@tenant2.example", "anna's password"),
        ("anna@tenant2.example", "anna@tenant2.example's password"),
        ("carol", "carol@mailitwize.be's password"),
        ("carol", "carol's password"),
        ("info", "info's passwordCODE"),
        ("info", "anna's passwordCODE"),
    ]
    assert verdicts(tmp_path, "mail", logins, before) == [
        ["Denied", "password-wrong"],
        ["Granted", "before-cutover"],
        ["Denied", "password-wrong"],
        ["Granted", "before-cutover"],
        ["Denied", "password-wrong"],
        ["Granted", "second-factor-given"],
    ]


def test_no_domain_is_a_local_part_domain_by_default(tmp_path: Path) -> None:
    """NAME2."""
    none = "password.pam_local_part_domains=[]"
    logins = [("carol", "carol's password"), ("carol", "carol@mailitwize.be's password")]
    assert verdicts(tmp_path, "mail", logins, 'cutover.date="2030-01-01T00:00Z"', local_part=none) == [
        ["Denied", "password-wrong"],
        ["Granted", "before-cutover"],
    ]


def test_accounts_that_are_one_pam_user_are_both_refused_while_they_are(tmp_path: Path) -> None:
    """NAME2: nothing says whose password it is, so nobody's login is decided by it."""
    both = 'password.pam_local_part_domains=["mailitwize.be", "tenant2.example"]'
    logins = [("anna", "anna's passwordCODE"), ("anna@tenant2.example", "anna's password"), ("carol", "x")]
    assert verdicts(tmp_path, "mail", logins, local_part=both) == [
        ["Unavailable", "source-unavailable"],
        ["Unavailable", "source-unavailable"],
        ["Denied", "password-wrong"],
    ]


def test_pam_gets_the_bytes_that_were_sent(tmp_path: Path) -> None:
    """NAME3: only hashes that are ours are compared in a second form; a directory counts what it refuses."""
    logins = [("zoe", COMPOSED), ("zoe", DECOMPOSED)]
    assert verdicts(tmp_path, "mail", logins, 'cutover.date="2030-01-01T00:00Z"') == [
        ["Denied", "password-wrong"],
        ["Granted", "before-cutover"],
    ]

"""The first factor from PAM, through python-pam and the machine's real libpam.

/etc/pam.d is replaced by a directory of the test's in a mount namespace of its own; pam_matrix (of libpam-wrapper)
stands for the modules that a system has.
"""

import grp
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pam_module.harness.helper import build
from tests.integration.serving import Site

REPOSITORY = Path(__file__).parents[2]

IN_NAMESPACE = """
import asyncio, json, sys
from pathlib import Path
from mailauth.effects.store import accounts
from tests.world import World

async def main(directory, logins):
    world = World(directory, 'password.source="pam"', 'password.pam_service="' + sys.argv[3] + '"', *sys.argv[4:])
    for name in ("anna@mailitwize.be", "carol@mailitwize.be", "zoe@mailitwize.be", "anna@tenant2.example"):
        add = lambda connection: accounts.add(connection, name, None, world.clock())
        world.installation.database.write(add)  # past the check that `account add` makes
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


ACCOUNT = "account required pam_permit.so\n"


@pytest.fixture(scope="module")
def shipped() -> Path:
    return build("all", "test-parts")


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


def test_pam_unix_tells_right_passwords_to_who_can_read_shadow_alone(shipped: Path, tmp_path: Path) -> None:
    """PAM2: what `config check` warns of, and that the group, without a new privilege, is all that it takes."""
    with tempfile.TemporaryDirectory(prefix="mailauth-") as top:
        etc = Path(top)
        etc.chmod(0o755)
        (etc / "pam.d").mkdir()
        shutil.copy(shipped / "pam_driver", etc / "pam_driver")
        common = "auth [success=1 default=ignore] pam_unix.so nodelay\nauth requisite pam_deny.so\n"
        (etc / "pam.d" / "common").write_text(f"{common}auth required pam_permit.so\n{ACCOUNT}")
        (etc / "pam.d" / "alone").write_text(f"auth required pam_unix.so nodelay\n{ACCOUNT}")
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"], input="Unix pa$$word", capture_output=True, text=True, check=True
        ).stdout.strip()
        (etc / "passwd").write_text(Path("/etc/passwd").read_text() + "anna:x:4711:4711::/:/usr/sbin/nologin\n")
        (etc / "shadow").write_text(f"root:*:19000:0:99999:7:::\nanna:{hashed}:19000:0:99999:7:::\n")
        shutil.chown(etc / "shadow", "root", "shadow")
        (etc / "shadow").chmod(0o640)
        inside = 'for file in passwd shadow; do mount --bind "$0/$file" "/etc/$file" || exit 9; done; exec "$@"'

        def asked(service: str, *groups: str) -> str:
            unprivileged = ["setpriv", "--reuid=4712", "--regid=4712", "--no-new-privs", *groups]
            driver = [etc / "pam_driver", "auth", "-s", etc / "pam.d", service, "anna"]
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", inside, str(etc), *unprivileged, *map(str, driver)],
                input="Unix pa$$word\n",
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            return str(done.stdout.partition("authenticate=")[2].split()[0])

        assert asked("alone", "--clear-groups") == "AUTHINFO_UNAVAIL"
        assert asked("common", "--clear-groups") == "AUTH_ERR", "as if the password were wrong"
        assert asked("common", f"--groups={grp.getgrnam('shadow').gr_gid}") == "SUCCESS"


def test_server_says_at_its_start_what_of_pams_service_lets_nobody_in(tmp_path: Path) -> None:
    """PAM2."""
    site = Site(tmp_path, "password.source=pam", "password.pam_service=absent")
    try:
        site.serve().wait_for("password.pam_service: there is no /etc/pam.d/absent")
    finally:
        site.close()

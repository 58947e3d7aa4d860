"""mailauth-checkpassword against servers that answer well, badly, late or not at all.

Every case runs on the shipped build and on the ASan + UBSan build.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from pam_module.harness.fake_server import GREETING, FakeServer, Say, escape, fail, ok
from pam_module.harness.helper import Ended, build, run_helper
from tests.cases import case

USER = "anna@example.org"
SECRET = "correct horse123456"
PAYLOAD = f"{USER}\0{SECRET}\0\0".encode()
TEXT = "Mail apps need an app password or password+code: https://www.example.org/2fa"


@pytest.fixture(scope="module", params=["shipped", "sanitized"])
def binary(request: pytest.FixtureRequest) -> Path:
    return build(sanitize=request.param == "sanitized") / "mailauth-checkpassword"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.sock"


def login(binary: Path, path: Path, payload: bytes = PAYLOAD, timeout: str = "10", **environment: str) -> Ended:
    return run_helper(binary, payload, "--socket", str(path), "--timeout", timeout, environment=environment)


def answered(binary: Path, path: Path, say: Say, **how: object) -> Ended:
    greeting = how.pop("greeting", GREETING)
    assert isinstance(greeting, bytes)
    assert not how
    with FakeServer(path, say, greeting=greeting):
        return login(binary, path)


# The verdicts


def test_a_granted_login_writes_the_canonical_name_and_exits_0(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER)) as server:
        ended = login(binary, path, b"Anna@Example.ORG\0" + SECRET.encode() + b"\0\0")
    assert (ended.status, ended.fields) == (0, b"user=anna@example.org\t")
    assert ended.errors == ""
    [asked] = server.asked
    assert (asked.user, asked.secret) == ("Anna@Example.ORG", SECRET)
    assert asked.mechanism == "PLAIN"
    assert asked.parameters == {"mailauth": "1"}


def test_fields_of_a_source_go_on_to_dovecot_as_they_stand(binary: Path, path: Path) -> None:
    kept = {"userdb_quota_rule": "*:storage=5M", "proxy": "y", "pass": "a\tb\x01c", "forward_x": "1"}
    others = {"allow_nets": "192.0.2.0/24", "nopassword": "y", "userdb_X": "1", "reason": "r", "userdb_": "1"}
    with FakeServer(path, ok(USER, **kept, **others)):
        ended = login(binary, path)
    written = "".join(f"{key}={escape(value)}\t" for key, value in kept.items()).encode()
    assert (ended.status, ended.fields) == (0, f"user={USER}\t".encode() + written)
    with FakeServer(path, ok(USER, userdb_home="/srv")):
        ended = run_helper(binary, USER.encode() + b"\0\0\0", "--socket", str(path), environment={"AUTHORIZED": "1"})
    assert (ended.status, ended.fields) == (2, f"user={USER}\tuserdb_home=/srv\t".encode())


def test_fields_that_are_too_long_or_would_forge_others_let_nobody_in(binary: Path, path: Path) -> None:
    for say in (
        ok(USER, **{f"userdb_x{number}": "y" * 900 for number in range(5)}),
        Say.bytes(b"OK\t1\tuser=" + USER.encode() + b"\tuserdb_x=a\x00b\n"),
        Say.bytes(b"OK\t1\tuser=" + USER.encode() + b"\tuserdb_x=a\rb\n"),
    ):
        ended = answered(binary, path, say)
        assert (ended.status, ended.fields) == (111, b"")


def test_a_denial_with_a_text_is_noauthenticate_with_the_reason(binary: Path, path: Path) -> None:
    ended = answered(binary, path, fail(TEXT))
    assert (ended.status, ended.fields) == (0, f"noauthenticate=y\treason={TEXT}\t".encode())


def test_a_text_for_imap_keeps_its_response_code(binary: Path, path: Path) -> None:
    ended = answered(binary, path, fail(f"[ALERT] {TEXT}"))
    assert ended.fields == f"noauthenticate=y\treason=[ALERT] {TEXT}\t".encode()


def test_a_denial_without_a_text_exits_1_and_writes_nothing(binary: Path, path: Path) -> None:
    for say in (fail(), fail(""), Say.bytes(b"FAIL\t1\n")):
        with case(say):
            ended = answered(binary, path, say)
            assert (ended.status, ended.fields, ended.errors) == (1, b"", "")


def test_a_temporary_failure_exits_111(binary: Path, path: Path) -> None:
    for line in (
        b"FAIL\t1\tuser=u\tcode=temp_fail\n",
        b"FAIL\t1\tcode=temp_fail\treason=x\n",
        b"FAIL\t1\treason=x\ttemp\n",
    ):
        with case(line):
            ended = answered(binary, path, Say.bytes(line))
            assert (ended.status, ended.fields) == (111, b"")
            assert ended.errors == "mailauth-checkpassword: the server reports a temporary failure\n"


# Escapes and cuts


def test_control_characters_in_a_text_never_reach_the_mail_client(binary: Path, path: Path) -> None:
    ended = answered(binary, path, fail("one\ttwo\r\nA1 OK three\001\0 four"))
    assert ended.fields == b"noauthenticate=y\treason=one two  A1 OK three   four\t"


def test_a_very_long_text_is_cut_between_characters(binary: Path, path: Path) -> None:
    ended = answered(binary, path, fail("x" + "\u00e9" * 3000))
    assert ended.status == 0
    reason = ended.fields.removeprefix(b"noauthenticate=y\treason=").removesuffix(b"\t")
    assert reason.decode() == "x" + "\u00e9" * 499


def test_a_name_that_could_forge_fields_is_not_passed_on(binary: Path, path: Path) -> None:
    for user in ("a\tadmin=y", "a\nb", "a\rb", "a\0b", "a\001b", "", "x" * 512):
        with case(user):
            ended = answered(binary, path, ok(user))
            assert (ended.status, ended.fields) == (111, b"")


def test_names_and_passwords_travel_as_they_are(binary: Path, path: Path) -> None:
    user, secret = "J\u00fcrgen M\u00fcller+x@ex\u00e4mple.org", "p\u00e4ss\tw\001\u00f6rd=%\r\n 123456"
    with FakeServer(path, ok(user)) as server:
        ended = login(binary, path, f"{user}\0{secret}\0\0".encode())
    assert (ended.status, ended.fields) == (0, f"user={user}\t".encode())
    assert (server.asked[0].user, server.asked[0].secret) == (user, secret)


def test_base64_is_right_for_every_length(binary: Path, path: Path) -> None:
    for length in range(7):
        with case(length):
            with FakeServer(path, ok(USER)) as server:
                assert login(binary, path, b"u\0" + b"\xc3\xbf" * length + b"\0\0").status == 0
            assert server.asked[0].secret == "\u00ff" * length


# What the server is told


def test_the_server_learns_what_dovecot_knows_of_the_client(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER)) as server:
        login(
            binary,
            path,
            AUTH_SERVICE="imap",
            AUTH_RIP="2001:db8::7",
            AUTH_LIP="192.0.2.1",
            AUTH_RPORT="50143",
            AUTH_LPORT="993",
            AUTH_SECURED="TLS",
            AUTH_SESSION="a\tb=c",
            AUTH_LOCAL_NAME="mx.example",
            AUTH_ORIG_USER="Anna",
            SERVICE="no",
            TCPREMOTEIP="192.0.2.99",
        )
    assert server.asked[0].parameters == {
        "service": "imap",
        "rip": "2001:db8::7",
        "lip": "192.0.2.1",
        "rport": "50143",
        "lport": "993",
        "secured": "tls",
        "session": "a\tb=c",
        "local_name": "mx.example",
        "orig_user": "Anna",
        "mailauth": "1",
    }


def test_the_variables_of_ucspi_do_where_dovecots_are_missing(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER)) as server:
        login(
            binary,
            path,
            AUTH_SERVICE="",
            SERVICE="smtp",
            TCPREMOTEIP="192.0.2.7",
            TCPLOCALIP="192.0.2.1",
            TCPREMOTEPORT="0",
            TCPLOCALPORT="587",
            AUTH_SECURED="secured",
            AUTH_RPORT="0",
        )
    assert server.asked[0].parameters == {
        "service": "smtp",
        "rip": "192.0.2.7",
        "lip": "192.0.2.1",
        "lport": "587",
        "secured": "",
        "mailauth": "1",
    }


def test_an_absurd_session_id_is_left_out_and_the_login_goes_on(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER)) as server:
        assert login(binary, path, AUTH_SESSION="x" * 20000, AUTH_SERVICE="imap").status == 0
    assert server.asked[0].parameters == {"service": "imap", "mailauth": "1"}


def test_the_password_is_on_the_wire_in_resp_and_nowhere_else(binary: Path, path: Path) -> None:
    with FakeServer(path, fail(TEXT)) as server:
        ended = login(binary, path, AUTH_SERVICE="imap")
    head, _, _ = server.raw[0].partition(b"resp=")
    assert SECRET.encode() not in server.raw[0]
    assert b"123456" not in head
    assert SECRET.encode() not in ended.fields + ended.errors.encode()


def test_the_client_does_not_wait_for_the_greeting(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER), reads_first=True):
        assert login(binary, path).status == 0


def test_nothing_is_sent_twice(binary: Path, path: Path) -> None:
    with FakeServer(path, Say.bytes()) as server:
        assert login(binary, path).status == 111
    assert len(server.raw) == 1


# Servers that misbehave

HALF = b"OK\t1\tuser=anna@exam"
GARBAGE = {
    "closes": b"",
    "half a reply": HALF,
    "no line feed": b"OK\t1\tuser=anna@example.org",
    "binary": bytes(range(256)),
    "nul": b"OK\t1\tuser=anna\0@example.org\n",
    "carriage return": b"OK\t1\tuser=anna@example.org\r\n",
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "empty line": b"\n",
    "lower case": b"ok\t1\tuser=anna\n",
    "no user": b"OK\t1\n",
    "bare user": b"OK\t1\tuser\n",
    "two users": b"OK\t1\tuser=anna\tuser=admin\n",
    "empty field": b"OK\t1\t\tuser=anna\n",
    "trailing tab": b"OK\t1\tuser=anna\t\n",
    "wrong id": b"OK\t2\tuser=anna\n",
    "id with zero": b"OK\t01\tuser=anna\n",
    "no id": b"OK\n",
    "id is user": b"OK\tuser=anna\n",
    "wrong id of a denial": b"FAIL\t2\tuser=anna\n",
    "continuation": b"CONT\t1\t\n",
    "unknown reply": b"MAYBE\t1\tuser=anna\n",
    "greeting again": GREETING,
    "bad escape": b"OK\t1\tuser=an\001xna\n",
    "cut escape": b"OK\t1\tuser=anna\001\n",
    "nologin": b"OK\t1\tuser=anna\tnologin\treason=no\n",
    "nologin=y": b"OK\t1\tuser=anna\tnologin=y\n",
    "noauthenticate": b"OK\t1\tuser=anna\tnoauthenticate\n",
    "bad escape in a reason": b"FAIL\t1\treason=a\001z\n",
    "two reasons": b"FAIL\t1\treason=a\treason=b\n",
    "bad tail": b"OK\t1\tuser=anna\ttail=-1\n",
    "1 MB line": b"OK\t1\tuser=" + b"a" * 1_000_000 + b"\n",
    "1 MB of nothing": b"\n" * 1_000_000,
    "1 MB without an end": b"FAIL\t1\treason=" + b"a" * 1_000_000,
}


def test_an_answer_that_is_not_clear_exits_111(binary: Path, path: Path) -> None:
    for what, reply in GARBAGE.items():
        with case(what):
            ended = answered(binary, path, Say.bytes(reply))
            assert (ended.status, ended.fields) == (111, b"")
            assert ended.errors.startswith("mailauth-checkpassword: ")
            assert ended.errors.count("\n") == 1


GREETINGS = {
    "none": b"",
    "other major": GREETING.replace(b"VERSION\t1\t1", b"VERSION\t2\t0"),
    "no minor": GREETING.replace(b"VERSION\t1\t1", b"VERSION\t1"),
    "odd minor": GREETING.replace(b"VERSION\t1\t1", b"VERSION\t1\tx"),
    "version not first": b"SPID\t1\n" + GREETING,
    "no version": GREETING.partition(b"\n")[2],
    "two versions": b"VERSION\t1\t1\n" + GREETING,
    "no PLAIN": GREETING.replace(b"PLAIN\t", b"OAUTHBEARER\t"),
    "no DONE": GREETING.removesuffix(b"DONE\n"),
    "endless": b"VERSION\t1\t1\n" + b"MECH\tPLAIN\n" * 100 + b"DONE\n",
    "garbage within": GREETING.replace(b"SPID", b"sp id"),
    "answer before DONE": GREETING.removesuffix(b"DONE\n") + b"OK\t1\tuser=anna\nDONE\n",
    "answer before VERSION": b"OK\t1\tuser=anna\n" + GREETING,
}


def test_a_greeting_of_another_protocol_exits_111(binary: Path, path: Path) -> None:
    for what, greeting in GREETINGS.items():
        with case(what):
            ended = answered(binary, path, ok(USER), greeting=greeting)
            assert (ended.status, ended.fields) == (111, b"")


def test_lines_of_later_minor_versions_are_passed_over(binary: Path, path: Path) -> None:
    greeting = GREETING.replace(b"1\t1\n", b"1\t7\n", 1).replace(b"SPID", b"NEWER\tx=y\nSPID")
    assert answered(binary, path, ok(USER, newer="1"), greeting=greeting).status == 0


def test_a_reply_of_8192_bytes_is_read(binary: Path, path: Path) -> None:
    line = b"OK\t1\tuser=anna\tpadding="
    say = Say.bytes(line + b"x" * (8191 - len(line)) + b"\n")
    assert answered(binary, path, say).fields == b"user=anna\t"


def test_a_reply_byte_by_byte_is_the_same_reply(binary: Path, path: Path) -> None:
    whole = f"FAIL\t1\treason={TEXT}\n".encode()
    say = Say.bytes(*(whole[i : i + 1] for i in range(len(whole))), pause_s=0.0005)
    assert answered(binary, path, say).fields == f"noauthenticate=y\treason={TEXT}\t".encode()


def test_the_first_answer_counts(binary: Path, path: Path) -> None:
    say = Say.bytes(b"FAIL\t1\nOK\t1\tuser=anna\n")
    assert answered(binary, path, say).status == 1


@pytest.mark.parametrize("say", [Say.bytes(then_hang=True), Say.bytes(HALF, then_hang=True)])
def test_a_server_that_never_answers_costs_the_timeout_and_no_more(binary: Path, path: Path, say: Say) -> None:
    with FakeServer(path, say):
        ended = login(binary, path, timeout="0.4")
    assert (ended.status, ended.fields) == (111, b"")
    assert "no answer in time" in ended.errors
    assert 0.35 < ended.seconds < 2.0


def test_a_trickle_does_not_extend_the_timeout(binary: Path, path: Path) -> None:
    say = Say.bytes(*[b"x"] * 200, pause_s=0.02)
    with FakeServer(path, say):
        ended = login(binary, path, timeout="0.4")
    assert ended.status == 111
    assert ended.seconds < 2.0


def test_a_full_backlog_is_waited_for_within_the_timeout(binary: Path, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            ended = login(binary, path, timeout="0.4")
    assert ended.status == 111
    assert "cannot connect" in ended.errors
    assert 0.35 < ended.seconds < 2.0


@pytest.mark.parametrize("what", ["nothing", "a file", "nobody", "too long"])
def test_an_absent_server_exits_111_at_once(binary: Path, path: Path, what: str) -> None:
    if what == "a file":
        path.write_text("")
    elif what == "nobody":
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(path))
    elif what == "too long":
        path = path / ("x" * 200)
    ended = login(binary, path)
    assert (ended.status, ended.fields) == (111, b"")
    assert ended.seconds < 2.0
    assert ended.errors.startswith("mailauth-checkpassword: ")


# Descriptor 3


def test_512_bytes_of_input_are_taken(binary: Path, path: Path) -> None:
    secret = "s" * (512 - len(USER) - 3)
    with FakeServer(path, ok(USER)) as server:
        assert login(binary, path, f"{USER}\0{secret}\0\0".encode()).status == 0
    assert server.asked[0].secret == secret


def test_longer_input_is_refused_but_drained(binary: Path, path: Path) -> None:
    for surplus in (1, 100, 1_000_000):
        with case(surplus):
            secret = "s" * (512 - len(USER) - 3 + surplus)
            with FakeServer(path, ok(USER)) as server:
                ended = login(binary, path, f"{USER}\0{secret}\0\0".encode())
            assert (ended.status, ended.fields, ended.unread_input) == (111, b"", 0)
            assert server.raw == []


def test_input_of_another_shape_exits_111_unasked(binary: Path, path: Path) -> None:
    for payload in (
        b"",
        b"\0",
        b"\0\0\0",
        b"anna",
        b"anna\0",
        b"anna\0secret",
        b"anna\0secret\0",
        b"\0secret\0\0",
        b"anna\0secret\0\0\0",
        b"anna\0sec\0ret\0\0",
        b"anna\0secret\0" + b"1700000000\0",
        b"anna\0secret\0\0x",
        b"anna\0\0",
    ):
        with case(payload):
            with FakeServer(path, ok(USER)) as server:
                ended = login(binary, path, payload)
            assert (ended.status, ended.fields) == (111, b"")
            assert server.raw == []
            assert "secret" not in ended.errors


def test_an_input_that_does_not_end_costs_the_timeout(binary: Path, path: Path) -> None:
    with FakeServer(path, ok(USER)) as server:
        ended = run_helper(binary, PAYLOAD, "--socket", str(path), "--timeout=0.3", keep_input_open=True)
    assert (ended.status, ended.fields) == (111, b"")
    assert server.raw == []
    assert ended.seconds < 2.0


@pytest.mark.parametrize("say", [ok(USER), fail(TEXT)])
def test_an_answer_that_nobody_reads_is_not_given(binary: Path, path: Path, say: Say) -> None:
    with FakeServer(path, say):
        ended = run_helper(binary, PAYLOAD, "--socket", str(path), output_gone=True)
    assert ended.status == 111


LOOK_UP = f"{USER}\0\0\0".encode()


def test_a_look_up_exits_2_for_who_exists_and_3_for_who_does_not(binary: Path, path: Path) -> None:
    with FakeServer(path, ok("anna@example.org")) as server:
        ended = login(binary, path, b"info@example.org\0\0\0", AUTHORIZED="1", AUTH_SERVICE="lmtp")
    assert (ended.status, ended.fields, ended.errors) == (2, b"user=anna@example.org\t", "")
    [asked] = server.asked
    assert (asked.user, asked.secret) == ("info@example.org", "")
    assert asked.parameters == {"service": "lmtp", "mailauth": "lookup"}
    with FakeServer(path, fail(code="unknown")):
        ended = login(binary, path, LOOK_UP, AUTHORIZED="1")
    assert (ended.status, ended.fields, ended.errors) == (3, b"", "")


def test_any_other_answer_to_a_look_up_makes_the_mail_wait(binary: Path, path: Path) -> None:
    """An older mailauth takes it for a login without a password, and refuses that."""
    for say in (fail(), fail(TEXT), fail(code="temp_fail"), Say.bytes(), Say.bytes(b"OK\t1\n")):
        with case(say):
            with FakeServer(path, say):
                ended = login(binary, path, LOOK_UP, AUTHORIZED="1")
            assert (ended.status, ended.fields) == (111, b"")
            assert ended.errors.startswith("mailauth-checkpassword: ")


def test_a_look_up_and_a_login_are_never_taken_for_one_another(binary: Path, path: Path) -> None:
    """Nor is the password of a master taken for the user's: that would count against them."""
    unclear = [
        (PAYLOAD, {"AUTHORIZED": "1"}),
        (PAYLOAD, {"AUTHORIZED": "2"}),
        (LOOK_UP, {"AUTHORIZED": "2"}),
        (LOOK_UP, {"AUTHORIZED": ""}),
        (PAYLOAD, {"MASTER_USER": "admin"}),
        (LOOK_UP, {"MASTER_USER": "admin", "AUTHORIZED": "1"}),
    ]
    with FakeServer(path, ok(USER)) as server:
        for payload, environment in unclear:
            ended = login(binary, path, payload, **environment)
            assert (ended.status, ended.fields) == (111, b"")
            assert ended.errors
    assert server.raw == []
    with FakeServer(path, fail(code="unknown")):
        assert login(binary, path).status == 1, "a login is refused, never looked up"


# The program


def test_inherited_descriptors_are_closed_and_cores_forbidden(binary: Path, path: Path) -> None:
    seen: dict[str, object] = {}
    leaked_read, leaked_write = os.pipe()
    os.set_inheritable(leaked_write, True)

    def look(_: object) -> Say:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                # Another test may be running the same program at this moment.
                is_ours = f"PPid:\t{os.getpid()}\n" in (entry / "status").read_text()
                if is_ours and (entry / "exe").samefile(binary):
                    seen["fds"] = sorted(int(fd.name) for fd in (entry / "fd").iterdir())
                    seen["limits"] = (entry / "limits").read_text()
            except OSError:
                continue
        return ok(USER)

    try:
        with FakeServer(path, look):
            assert login(binary, path).status == 0
    finally:
        os.close(leaked_read)
        os.close(leaked_write)
    fds = seen["fds"]
    assert isinstance(fds, list)
    assert [fd for fd in fds if fd > 5] == [], "0 to 4 and the socket"
    [core] = [line for line in str(seen["limits"]).splitlines() if "core file" in line]
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_answer_on_standard_output(binary: Path, option: str) -> None:
    done = subprocess.run([binary, option], capture_output=True, text=True, check=True)
    assert "mailauth-checkpassword" in done.stdout
    assert done.stderr == ""


def test_options_that_it_does_not_know_exit_111(binary: Path) -> None:
    for arguments in (
        ["--sokcet", "/x"],
        ["--timeout", "x"],
        ["--timeout", "0"],
        ["--timeout", "99999"],
        ["--timeout", ""],
        ["--timeout", "-1"],
        ["--timeout", "1.2345"],
        ["-v"],
    ):
        with case(arguments):
            ended = run_helper(binary, PAYLOAD, *arguments)
            assert (ended.status, ended.fields) == (111, b"")
            assert ended.errors != ""

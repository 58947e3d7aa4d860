"""Start and end as systemd sees them: READY, sockets handed over, and a stop that answers what is under way."""

import contextlib
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import LAUNCHER, Server, Site, secret_of, until
from tests.integration.talking import Closed, Talk, auth, granted, look_up

SLOW = ("password.argon2.time_cost=8", "password.argon2.memory_kib=32768")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_what_is_under_way(make_site: SiteMaker, number: signal.Signals) -> None:
    site = make_site(*SLOW)
    server = site.serve()
    alice = site.person()
    with site.talk() as talk, site.talk() as idle:
        talk.send(auth(1, alice.name, secret_of(alice)) + auth(2, alice.name, "wrong horse"))
        server.process.send_signal(number)
        assert idle.rest() == b"", "a connection with nothing under way is closed at once"
        assert {(reply.split(b"\t")[1], granted(reply)) for reply in talk.lines(2)} == {(b"1", True), (b"2", False)}
        assert talk.rest() == b""
    assert server.ended() == 0
    assert "stopped" in server.log
    assert not site.socket.exists()


def test_client_that_goes_on_asking_does_not_hold_up_the_stop(make_site: SiteMaker) -> None:
    site = make_site("server.deadline_s=60", *SLOW)
    server = site.serve()
    is_over = threading.Event()

    def ask() -> None:
        """Have always some under way, which are answered while others wait."""
        with contextlib.suppress(Closed, ConnectionError), site.talk() as talk:
            talk.send(b"".join(auth(number, "nobody", "wrong") for number in range(4)))
            for number in range(4, 10_000):
                talk.line()
                talk.send(auth(number, "nobody", "wrong"))
                if is_over.is_set():
                    break

    clients = [threading.Thread(target=ask) for _ in range(5)]
    for client in clients:
        client.start()
    server.wait_for("verdict=denied", times=5)
    assert server.stop() == 0
    is_over.set()
    for client in clients:
        client.join()


def test_stop_is_quick_where_nothing_is_under_way(make_site: SiteMaker) -> None:
    site = make_site("server.deadline_s=60")
    server = site.serve()
    talks = [site.talk() for _ in range(50)]
    talks.append(Talk(site.socket))
    server.stop()
    assert [talk.rest() for talk in talks[:-1]] == [b""] * 50


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(make_site: SiteMaker) -> None:
    site = make_site()
    path = site.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notification:
        notification.bind(str(path))
        notification.settimeout(20)
        server = site.serve(environment={"NOTIFY_SOCKET": str(path)})
        assert notification.recv(100).split(b"\n")[0] == b"READY=1"
        site.talk().close()
        server.process.send_signal(signal.SIGTERM)
        assert notification.recv(100).split(b"\n")[0] == b"STOPPING=1"
        assert server.ended() == 0


def handed_over(site: Site, listening: socket.socket, **options: Any) -> Server:
    launcher = (sys.executable, "-c", LAUNCHER, str(listening.fileno()))
    return site.serve(launcher=launcher, pass_fds=[listening.fileno()], **options)


def test_socket_of_systemd_is_used_and_outlives_the_server(make_site: SiteMaker) -> None:
    site = make_site()
    alice, bob = site.person(), site.person()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(site.socket))
        listening.listen(50)
        inode = site.socket.stat().st_ino
        server = handed_over(site, listening)
        with site.talk() as talk:
            assert granted(talk.login(alice.name, secret_of(alice)))
        assert server.stop() == 0
        assert site.socket.stat().st_ino == inode, "systemd's socket was removed or replaced"
        # Between two servers a login waits instead of failing.
        waiting = Talk(site.socket)
        waiting.send(b"VERSION\t1\t1\nCPID\t1\n" + auth(1, bob.name, secret_of(bob)))
        handed_over(site, listening)
        waiting.greeting()
        assert granted(waiting.line())
        waiting.close()


def test_sockets_that_systemd_does_not_hand_over_are_opened_too(make_site: SiteMaker) -> None:
    site = make_site()
    alice = site.person()
    own = site.directory / "exim.sock"
    config, _ = site.second_configuration(
        f'server.socket=[{{path="{site.socket}", lookups=true}}, {{path="{own}", mode="0600"}}]'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(site.socket))
        listening.listen(50)
        server = handed_over(site, listening, config=config)
        server.wait_for("listening", times=2)
        for path, steps, answer in ((site.socket, 0, "OK"), (own, 1, "FAIL")):
            with Talk(path).introduced() as talk:
                assert granted(talk.login(alice.name, secret_of(alice, steps)))
                assert look_up(talk, alice.name).startswith(answer)
        assert server.stop() == 0
        assert site.socket.is_socket(), "systemd's was removed"
        assert not own.exists(), "our own was left behind"


def test_socket_that_nobody_can_make_is_named_and_the_logins_of_the_others_go_on(make_site: SiteMaker) -> None:
    site = make_site()
    alice = site.person()
    sockets = f'[{{path="{site.socket}"}}, {{path="/proc/mailauth/exim.sock"}}]'
    config, _ = site.second_configuration(f"server.socket={sockets}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(site.socket))
        listening.listen(50)
        server = handed_over(site, listening, config=config)
        with site.talk(server) as talk:
            assert granted(talk.login(alice.name, secret_of(alice)))
        [line] = [line for line in server.log.splitlines() if "systemd does not hand over a socket" in line]
    assert " error " in line
    assert "socket=/proc/mailauth/exim.sock" in line
    assert "make a .socket unit for it" in line


def test_descriptors_meant_for_another_process_are_left_alone(make_site: SiteMaker) -> None:
    site = make_site()
    server = site.serve(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    site.talk(server).close()
    assert site.socket.is_socket()


def test_what_is_no_stream_socket_is_refused(make_site: SiteMaker) -> None:
    site = make_site()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = handed_over(site, listening, wait=False)
        assert server.ended() == 1
        assert "not a Unix stream socket" in server.log


def test_socket_of_systemd_that_nobody_configured_is_refused(make_site: SiteMaker) -> None:
    """Else nothing would say who may connect to it."""
    site = make_site()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(site.directory / "other.sock"))
        listening.listen()
        server = handed_over(site, listening, wait=False)
        assert server.ended() == 1
        assert "has no table here" in server.log


def test_server_without_its_database_does_not_start_and_makes_none(make_site: SiteMaker) -> None:
    site = make_site()
    site.database.unlink()
    server = site.serve(wait=False)
    assert server.ended() == 75, "try again later: it may be mounted soon"
    assert "No such file" in server.log
    assert "Traceback" not in server.log
    assert not site.database.exists()


def test_server_with_a_damaged_database_does_not_start(make_site: SiteMaker) -> None:
    site = make_site()
    Path(f"{site.database}-wal").unlink(missing_ok=True)
    site.database.write_bytes(os.urandom(8192))
    server = site.serve(wait=False)
    assert server.ended() == 75
    assert "Traceback" not in server.log


def test_descriptors_do_not_pile_up(make_site: SiteMaker) -> None:
    # F11 in small
    site = make_site()
    server = site.serve()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.pid}/fd"))

    def come_and_go() -> None:
        for number in range(300):
            talk = Talk(site.socket)
            if number % 3:
                talk.introduced()
            if number % 3 == 2:
                talk.send(auth(1, "nobody", "x"))
            talk.close()
        with site.talk() as talk:
            talk.login("nobody", "x")

    come_and_go()  # each of the database's threads opens its files when it is first needed
    before = descriptors()
    come_and_go()
    until(lambda: descriptors() <= before + 1, "the connections' end")

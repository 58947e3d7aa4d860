"""Who may connect: the socket's mode and group, the peer's uid, and what was at its path before (SOC1)."""

import fcntl
import grp
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import Server, Site, until
from tests.integration.talking import INTRODUCTION, auth, granted

STRANGER = 65534
CLIENT = """
import os, socket, sys
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
client.settimeout(20)
try:
    client.connect(sys.argv[1])
    client.sendall(sys.stdin.buffer.read())
except ConnectionError:
    pass  # cut while it was still speaking
received = b""
try:
    while piece := client.recv(65536):
        received += piece
        if received.endswith(b"DONE\\n") and len(sys.argv) > 3:
            break
except ConnectionError:
    pass
sys.stdout.buffer.write(received)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a client as somebody else")


def as_somebody_else(path: Path, uid: int, data: bytes, *options: str) -> bytes:
    """Connect as another uid, say something, and return what the server says."""
    command = [sys.executable, "-c", CLIENT, str(path), str(uid), *options]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=True).stdout


def open_to_all(site: Site) -> None:
    for directory in (site.directory, site.directory.parent):
        directory.chmod(0o755)


@needs_root
def test_stranger_is_cut_before_the_greeting(make_site: SiteMaker) -> None:
    site = make_site()
    open_to_all(site)
    path = site.directory / "s"
    config, _ = site.second_configuration(f'server.socket=[{{path="{path}", mode="0666", allow_users=["daemon"]}}]')
    server = site.serve(config=config, socket=path)
    alice = site.person()
    token = site.installation.app_passwords.make(alice.name, "phone").password
    assert as_somebody_else(path, STRANGER, INTRODUCTION + auth(1, alice.name, token)) == b""
    server.wait_for("peer refused")
    assert f"uid:{STRANGER}" in server.log
    assert "login" not in server.log, "a stranger's login was looked at"
    assert as_somebody_else(path, 1, b"", "until done").endswith(b"DONE\n"), "daemon is uid 1"
    assert granted(site.talk(server).login(alice.name, token))


@needs_root
def test_without_a_list_the_permissions_decide(make_site: SiteMaker) -> None:
    site = make_site()
    open_to_all(site)
    path = site.directory / "s"
    config, _ = site.second_configuration(f'server.socket=[{{path="{path}", mode="0666"}}]')
    site.serve(config=config, socket=path)
    assert as_somebody_else(path, STRANGER, b"", "until done").endswith(b"DONE\n")


@needs_root
@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_socket_has_the_mode_and_group_that_were_asked_for(make_site: SiteMaker, mode: str) -> None:
    site = make_site()
    path = site.directory / "new" / "directory" / "s"
    setting = f'server.socket=[{{path="{path}", mode="{mode}", group="mail"}}]'
    config, _ = site.second_configuration(setting)
    server = site.serve(config=config, socket=path)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == int(mode, 8)
    assert status.st_gid == grp.getgrnam("mail").gr_gid
    server.stop()
    assert not path.exists(), "a socket that nobody listens on was left behind"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[{path="/tmp/x", group="no-such-group"}]', "there is no group 'no-such-group'"),
        ('[{path="/tmp/x", allow_users=["no-such-user"]}]', "there is no user 'no-such-user'"),
        ('[{path="/proc/x/y"}]', "cannot listen on /proc/x/y"),
    ],
)
def test_socket_that_cannot_be_made_is_a_sentence(make_site: SiteMaker, settings: str, words: str) -> None:
    site = make_site()
    config, path = site.second_configuration(f"server.socket={settings}")
    server = site.serve(config=config, socket=path, wait=False)
    assert server.ended() == 1
    assert words in server.log
    assert "Traceback" not in server.log


def test_stale_socket_is_replaced(make_site: SiteMaker) -> None:
    site = make_site()
    site.serve().kill()
    assert site.socket.is_socket()
    site.serve()
    site.talk().close()


def test_live_socket_is_left_alone(make_site: SiteMaker) -> None:
    site = make_site()
    first = site.serve()
    second = site.serve(wait=False)
    assert second.ended() == 1
    assert f"cannot listen on {site.socket}: another server is listening there" in second.log
    assert "Traceback" not in second.log
    site.talk(first).close()


def test_live_socket_with_a_full_queue_is_left_alone(make_site: SiteMaker) -> None:
    # Connecting to it would wait for ever.
    site = make_site()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(site.socket))
        busy.listen(0)
        clients = []
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            clients.append(client)
            client.setblocking(False)
            if client.connect_ex(str(site.socket)):
                break
        second = site.serve(wait=False)
        assert second.ended() == 1
        assert "another server is listening there" in second.log
        for client in clients:
            client.close()


@pytest.mark.parametrize("what", ["file", "directory", "symbolic link"])
def test_what_is_no_socket_is_not_removed(make_site: SiteMaker, what: str) -> None:
    site = make_site()
    if what == "file":
        site.socket.write_text("precious")
    elif what == "directory":
        site.socket.mkdir()
    else:
        site.socket.symlink_to(site.config)
    server = site.serve(wait=False)
    assert server.ended() == 1
    assert f"cannot listen on {site.socket}: a file that is not a socket is there" in server.log
    assert site.socket.is_symlink() or site.socket.exists()
    assert site.config.exists()


def test_stopping_does_not_remove_the_socket_of_a_successor(make_site: SiteMaker) -> None:
    site = make_site()
    first = site.serve()
    site.socket.unlink()
    second = site.serve()
    assert first.stop() == 0
    until(lambda: "stopped" in first.log, "the first one's end")
    site.talk(second).close()


@needs_root
def test_database_files_are_for_their_owner_alone(site: Site, server: Server) -> None:
    with site.talk() as talk:
        talk.login(site.person().name, "wrong")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in site.directory.glob("mailauth.db*")}
    assert modes == dict.fromkeys(("mailauth.db", "mailauth.db-wal", "mailauth.db-shm"), 0o600)
    assert stat.S_IMODE((site.directory / "mailauth.key").stat().st_mode) == 0o400


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o600, 0o500])
def test_key_file_that_others_might_read_stops_the_start(make_site: SiteMaker, mode: int) -> None:
    # KEY3
    site = make_site()
    (site.directory / "mailauth.key").chmod(mode)
    server = site.serve(wait=False)
    assert server.ended() == 1
    assert "make it private: chmod 0400" in server.log


def test_nobody_keeps_a_server_from_starting_by_a_lock_on_its_directory(make_site: SiteMaker) -> None:
    """Whoever can read a directory can lock it, /run/mailauth as well."""
    site = make_site()
    descriptor = os.open(site.socket.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        server = site.serve()
        assert "somebody holds a lock" in server.log
    finally:
        os.close(descriptor)

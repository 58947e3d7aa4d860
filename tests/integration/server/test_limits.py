"""Peers that are slow, silent, too many or too loud cost little, and nobody else anything (SOC1)."""

import contextlib
import resource
import time
from pathlib import Path

import pytest

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import Server, Site, until
from tests.integration.talking import INTRODUCTION, Talk, auth, granted

HANDSHAKE_S = 0.4


@pytest.fixture(scope="module")
def impatient(make_site: SiteMaker) -> Site:
    """Give a site whose server waits for nobody."""
    site = make_site(f"server.handshake_s={HANDSHAKE_S}", "server.idle_s=5", "server.max_connections=20")
    site.serve()
    return site


def rss_kib(server: Server) -> int:
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the server is gone")


def send_again_and_again(talk: Talk, data: bytes) -> None:
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at:
        talk.send(data)


@pytest.mark.parametrize(
    "beginning", [b"", b"VERSION\t1\t1\n", b"VERS", INTRODUCTION + b"AUTH\t1\tPLAIN\tserv", b"\n\n\n"]
)
def test_half_a_beginning_is_not_waited_for(impatient: Site, beginning: bytes) -> None:
    with Talk(impatient.socket) as talk:
        talk.greeting()
        began = time.monotonic()
        talk.send(beginning)
        assert talk.rest() == b""
        assert HANDSHAKE_S * 0.9 < time.monotonic() - began < 5


def test_line_that_trickles_is_cut_all_the_same(impatient: Site) -> None:
    with impatient.talk() as talk:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            send_again_and_again(talk, b"x")
        assert time.monotonic() - began < 5


def test_busy_client_whose_pieces_end_within_lines_is_not_cut(impatient: Site) -> None:
    alice = impatient.person()
    token = impatient.installation.app_passwords.make(alice.name, "phone").password
    line = auth(1, alice.name, token)
    half = len(line) // 2
    with impatient.talk() as talk:
        talk.send(line[:half])
        ends_at = time.monotonic() + 5 * HANDSHAKE_S
        while time.monotonic() < ends_at:
            talk.send(line[half:] + line[:half])
            assert granted(talk.line())


def test_silent_connection_is_closed_and_a_talking_one_is_not(impatient: Site) -> None:
    alice = impatient.person()
    token = impatient.installation.app_passwords.make(alice.name, "phone").password
    with impatient.talk() as silent, impatient.talk() as talking:
        began = time.monotonic()
        silent.socket.settimeout(0.2)
        while time.monotonic() - began < 10:
            assert granted(talking.login(alice.name, token))
            try:
                assert silent.socket.recv(1) == b""
                break
            except TimeoutError:
                continue
        assert 4.5 < time.monotonic() - began < 8
        assert granted(talking.login(alice.name, token))


def test_connection_too_many_is_refused_and_others_go_on(impatient: Site) -> None:
    alice = impatient.person()
    token = impatient.installation.app_passwords.make(alice.name, "phone").password
    talks = [impatient.talk() for _ in range(20)]
    for _ in range(5):
        with Talk(impatient.socket) as one_more:
            assert one_more.rest() == b""
    assert all(granted(talk.login(alice.name, token)) for talk in talks)
    for talk in talks:
        talk.close()

    def there_is_room() -> bool:
        with Talk(impatient.socket) as talk:
            return talk.socket.recv(7) == b"VERSION"

    until(there_is_room, "room for new connections")


def test_peer_that_does_not_read_does_not_make_the_server_grow(site: Site, server: Server) -> None:
    request = b"AUTH\t1\tNONE\tservice=imap\n"
    before = rss_kib(server)
    with site.talk() as talk:
        talk.socket.settimeout(1.0)
        with pytest.raises(TimeoutError):
            send_again_and_again(talk, request * 5000)
        assert rss_kib(server) - before < 20_000
        with site.talk() as other:
            assert not granted(other.login("nobody", "x"))


def test_peer_that_reads_late_gets_every_reply_once(site: Site, server: Server) -> None:
    count = 6000
    with site.talk() as talk:
        talk.socket.settimeout(0.5)
        data = b"".join(b"AUTH\t%d\tNONE\n" % number for number in range(count)) + b"AUTH\tx\n"
        sent = 0
        received = b""
        talk.socket.setblocking(False)
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sent += talk.socket.send(data[sent:]) if sent < len(data) else 0
            try:
                piece = talk.socket.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionError:
                break
            if not piece:
                break
            received += piece
    numbers = [int(line.split(b"\t")[1]) for line in received.split(b"\n")[:-1]]
    assert numbers == list(range(count))


def test_many_unfinished_requests_do_not_make_the_server_grow(site: Site, server: Server) -> None:
    before = rss_kib(server)
    padding = b"\t".join(b"k%d=%s" % (number, b"v" * 240) for number in range(60))
    talks = [site.talk() for _ in range(8)]
    for talk in talks:
        for number in range(200):
            talk.send(b"AUTH\t%d\tLOGIN\t%s\n" % (number, padding))
        talk.lines(200)
    grown = rss_kib(server) - before
    for talk in talks:
        talk.close()
    assert grown < 40_000, f"{grown} KiB for 8 connections"


def test_request_with_more_parameters_than_anybody_sends_ends_the_connection(site: Site, server: Server) -> None:
    # 8,000 of them fit into a line and took a megabyte, for as long as the request waited.
    with site.talk() as talk:
        talk.send(b"AUTH\t1\tLOGIN" + b"\tk" * 65 + b"\n")
        assert talk.rest() == b""


def test_running_out_of_descriptors_is_survived(make_site: SiteMaker) -> None:
    site = make_site()
    server = site.serve()
    alice = site.person()
    with site.talk() as early:
        assert granted(early.login(alice.name, site.installation.app_passwords.make(alice.name, "x").password))
        # Each of the database's threads opens its files when it is first needed.
        early.send(b"".join(auth(number, f"nobody{number}", "x") for number in range(100, 140)))
        early.lines(40)
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (60, before[1]))
        talks = []
        for _ in range(80):
            talk = Talk(site.socket)
            talks.append(talk)
        assert not granted(early.login("nobody", "x"))
        for talk in talks:
            talk.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        until(lambda: server.is_running, "the server")
        with site.talk() as late:
            assert not granted(late.login("nobody", "x"))


def test_server_takes_as_many_descriptors_as_it_promises_connections(make_site: SiteMaker) -> None:
    # 1,024 is what a service gets by default, and half of what max_connections promises.
    site = make_site("server.max_connections=2000")
    server = site.serve(launcher=("prlimit", "--nofile=1024:20000"))
    assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] > 2000

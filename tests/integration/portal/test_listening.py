"""Where the portal listens: a Unix socket for the web server alone, systemd's or its own; real processes."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import httpx

from tests.integration.portal.browsing import HOST
from tests.integration.portal.listening import UNKNOWN_PAGE, SiteMaker, ask, socket_of, start
from tests.integration.serving import LAUNCHER, PATIENCE_S, until


def test_its_socket_is_for_the_web_servers_group_alone_and_goes_with_it(make_site: SiteMaker) -> None:
    site = make_site("portal.socket_group=www-data")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(socket_of(site)))
    server = start(site, "portal")
    found = socket_of(site).stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert Path(f"/proc/{server.pid}").stat().st_uid == found.st_uid
    assert os.stat("/proc/self").st_gid != found.st_gid or found.st_gid == 33
    assert ask(socket_of(site), **{"X-Forwarded-For": "203.0.113.9"}).status_code == 404
    server.wait_for("client=203.0.113.9")
    assert server.stop() == 0
    assert not socket_of(site).exists()


def test_socket_of_systemd_is_used_and_outlives_the_portal(make_site: SiteMaker) -> None:
    """A browser that comes between two of them waits instead of failing."""
    site = make_site()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(socket_of(site)))
        listening.listen(50)
        inode = socket_of(site).stat().st_ino
        launcher = (sys.executable, "-c", LAUNCHER, str(listening.fileno()))
        server = start(site, "portal", launcher=launcher, pass_fds=[listening.fileno()])
        assert ask(socket_of(site)).status_code == 404
        assert server.stop() == 0
        assert socket_of(site).stat().st_ino == inode
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.settimeout(PATIENCE_S)
            waiting.connect(str(socket_of(site)))
            waiting.sendall(f"GET {UNKNOWN_PAGE} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            start(site, "portal", launcher=launcher, pass_fds=[listening.fileno()])
            assert waiting.recv(100).startswith(b"HTTP/1.1 404")


def test_all_parts_together_take_each_its_own_of_systemds_sockets(make_site: SiteMaker) -> None:
    site = make_site()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(socket_of(site)))
        listening.listen(50)
        launcher = (sys.executable, "-c", LAUNCHER, str(listening.fileno()))
        server = start(site, launcher=launcher, pass_fds=[listening.fileno()])
        assert ask(socket_of(site)).status_code == 404
        site.talk().close()
        assert server.stop() == 0
        assert socket_of(site).exists()
        assert not site.socket.exists()


def test_socket_of_systemd_that_is_not_the_portals_is_refused(make_site: SiteMaker) -> None:
    """Else nobody would ever answer there."""
    site = make_site()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(site.directory / "other.sock"))
        listening.listen()
        launcher = (sys.executable, "-c", LAUNCHER, str(listening.fileno()))
        server = start(site, "portal", launcher=launcher, pass_fds=[listening.fileno()], wait=False)
        assert server.ended() == 1
    assert f"portal.listen: systemd hands over {site.directory / 'other.sock'}" in server.log


def test_portal_that_may_not_have_its_socket_says_why_and_does_not_start(make_site: SiteMaker) -> None:
    site = make_site("portal.socket_group=no-such-group")
    server = start(site, "portal", wait=False)
    assert server.ended() == 1
    assert "portal.socket_group: there is no group 'no-such-group'" in server.log
    other = make_site()
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(socket_of(other)))
        taken.listen()
        server = start(other, "portal", wait=False)
        assert server.ended() == 1
    assert f"the portal cannot listen on {socket_of(other)}: another server is listening there" in server.log


def test_at_a_port_nobody_of_this_machine_says_who_the_client_is(make_site: SiteMaker) -> None:
    """LIM6: else each of its users could claim the owner's address, or lock another one out."""
    site = make_site()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config, _ = site.second_configuration(f"portal.listen=127.0.0.1:{port}", f"portal.url=http://127.0.0.1:{port}")
    server = start(site, "portal", config=config)
    answer = httpx.get(f"http://127.0.0.1:{port}{UNKNOWN_PAGE}", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 404
    server.wait_for("status=404")
    until(lambda: "client=127.0.0.1" in server.log, "the line about it")
    assert "203.0.113.9" not in server.log

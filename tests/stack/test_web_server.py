"""A real nginx in front of the portal, with the file that is shipped: TLS, addresses, limits, headers of its own."""

from __future__ import annotations

import random
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack import sandboxes
from tests.stack.people import until
from tests.stack.sandboxes import REPOSITORY, Account, Sandbox

SHIPPED = REPOSITORY / "deploy" / "nginx" / "mailauth-portal.conf"
NAME = "2fa.mailitwize.be"
HEADERS = (
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "referrer-policy",
    "cache-control",
)
"""Of WEB3: on every response, whoever it is from."""

AROUND = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/mailauth-portal.conf;
}}
"""


class WebServer:
    """An nginx on loopback that runs the shipped file; its ports, files and the portal's port are the test's."""

    def __init__(self, folder: Path, portal_port: int) -> None:
        self.folder = folder
        self.log = folder / "access.log"
        self.certificate = folder / "tls.pem"
        self.https, http, spare, more = free_ports(4)
        make_certificate(folder)
        text = SHIPPED.read_text()
        for shipped, ours in (
            ("listen 80;", f"listen 127.0.0.1:{http};"),
            ("listen [::]:80;", f"listen 127.0.0.1:{spare};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.https} ssl;"),
            ("listen [::]:443 ssl;", f"listen 127.0.0.1:{more} ssl;"),
            ("server 127.0.0.1:8425;", f"server 127.0.0.1:{portal_port};"),
            ("/var/log/nginx/mailauth-portal.log", str(self.log)),
            (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(self.certificate)),
            (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(folder / "tls.key")),
        ):
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, ours)
        (folder / "mailauth-portal.conf").write_text(text)
        main = folder / "nginx.conf"
        main.write_text(AROUND.format(folder=folder))
        self.command = ["/usr/sbin/nginx", "-c", str(main), "-e", str(folder / "error.log")]
        self.plain = f"http://127.0.0.1:{http}"

    def start(self) -> None:
        self.process = subprocess.Popen([*self.command, "-g", "daemon off;"])
        until(self.answers, "nginx answers")

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.https)) == 0

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def browser(self, source: str = "127.0.0.1") -> httpx.Client:
        """A client that has looked the portal's name up, and comes from an address of our choice."""
        transport = httpx.HTTPTransport(
            verify=ssl.create_default_context(cafile=str(self.certificate)), local_address=source
        )
        return httpx.Client(
            transport=_Named(transport, NAME),
            base_url=f"https://127.0.0.1:{self.https}",
            headers={"Host": NAME, "Origin": f"https://{NAME}"},
        )

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


class _Named(httpx.BaseTransport):
    """Asks for a certificate of this name, wherever it connects to."""

    def __init__(self, inner: httpx.HTTPTransport, name: str) -> None:
        self.inner, self.name = inner, name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = self.name
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now, below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def make_certificate(folder: Path) -> None:
    names = ("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(folder / "tls.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *names, *key, "-out", str(folder / "tls.pem")],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("portal")
    with sandboxes.running(directory, "--set", f"portal.url=https://{NAME}") as made:
        yield made


@pytest.fixture(scope="module")
def server(site: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    made = WebServer(tmp_path_factory.mktemp("nginx"), site.portal_port)
    made.start()
    yield made
    made.stop()


def log_in(client: httpx.Client, account: Account, password: str, code: str = "", **headers: str) -> httpx.Response:
    page = client.get("/login")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None, page.text
    form = {"csrf": token.group(1), "account": account.name, "password": password, "code": code}
    return client.post("/login", data=form, headers=headers)


def test_the_file_is_right(server: WebServer) -> None:
    judged = subprocess.run([*server.command, "-t"], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stderr
    assert "warn" not in judged.stderr


def test_who_logs_in_through_it_is_in(server: WebServer, site: Sandbox) -> None:
    account = site.account(enrolled=True)
    with server.browser() as client:
        answer = log_in(client, account, account.password, account.fresh_code())
        assert answer.status_code == 303, answer.text
        assert client.get("/account").status_code == 200
        cookies = answer.headers.get_list("set-cookie")
        assert any(cookie.startswith("__Host-mailauth=") and "; Secure" in cookie for cookie in cookies)


def test_the_address_that_counts_is_the_one_that_nginx_saw(server: WebServer, site: Sandbox) -> None:
    """LIM6: what a client claims of itself is thrown away."""
    account = site.account()
    with server.browser("127.0.0.7") as client:
        log_in(client, account, "wrong", **{"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"})
    until(lambda: f"account={account.name}" in site.logged(), "the login is logged")
    lines = [line for line in site.log_files["mailauth"].read_text().splitlines() if account.name in line]
    assert all("client=127.0.0.7" in line for line in lines if "service=portal" in line), lines
    assert any("service=portal" in line for line in lines)
    assert "203.0.113.9" not in site.logged()


@pytest.mark.parametrize("path", ["/login", "/static/portal.css", "/nothing", "/setup", "/link/x"])
def test_no_header_comes_twice(server: WebServer, path: str) -> None:
    with server.browser() as client:
        headers = client.get(path).headers
    assert {name: len(headers.get_list(name)) for name in HEADERS} == dict.fromkeys(HEADERS, 1), path


def raw(server: WebServer, request: bytes) -> tuple[int, dict[str, str]]:
    """What nginx answers to bytes that no library would send."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    plain = socket.create_connection(("127.0.0.1", server.https), 20)
    with context.wrap_socket(plain, server_hostname=NAME) as client:
        client.sendall(request)
        with client.makefile("rb") as answer:
            head = answer.read().partition(b"\r\n\r\n")[0].decode()
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), dict((line.lower().partition(": ")[::2]) for line in lines)


HOST = f"Host: {NAME}\r\n".encode()


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"GET /login HTTP/1.1\r\nConnection: close\r\n\r\n"),
        (413, b"POST /login HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 99999\r\n\r\n"),
        (414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"),
    ],
    ids=("no-host", "large-body", "long-address"),
)
def test_what_nginx_says_by_itself_has_the_headers_too(server: WebServer, status: int, request_: bytes) -> None:
    answered, headers = raw(server, request_)
    assert answered == status
    assert set(HEADERS) <= set(headers), headers
    assert "1.2" not in headers["server"], "its version is nobody's business"


def test_nobody_gets_the_pages_without_tls(server: WebServer) -> None:
    answer = httpx.get(f"{server.plain}/link/secret", headers={"Host": NAME})
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://{NAME}/"


def test_links_from_mails_are_in_no_log(server: WebServer, site: Sandbox) -> None:
    """Requirement WEB4."""
    token = "canary-token-of-a-mailed-link"
    with server.browser() as client:
        client.get(f"/link/{token}", headers={"Referer": f"https://{NAME}/link/{token}"})
        client.get("/help")
    until(lambda: " /help " in server.logged(), "nginx has logged both")
    assert " /link/... " in server.logged()
    assert token not in server.logged() + site.logged()


def test_a_flood_is_told_to_wait_and_people_elsewhere_are_not(server: WebServer) -> None:
    statuses: list[int] = []

    def flood() -> None:
        with server.browser("127.0.0.8") as client:
            statuses.extend(client.get("/healthz").status_code for _ in range(60))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}
    with server.browser("127.0.0.9") as client:
        assert client.get("/healthz").status_code == 200


def test_without_the_portal_people_read_a_sentence_and_the_headers_stay(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    server = WebServer(tmp_path, nobody)
    server.start()
    try:
        with server.browser() as client:
            answer = client.get("/login")
        assert answer.status_code == 502
        assert "try again" in answer.text
        assert set(HEADERS) <= set(answer.headers)
    finally:
        server.stop()

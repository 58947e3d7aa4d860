"""A real nginx in front of the portal, with the file that is shipped: TLS, addresses, limits, headers of its own.

At a port that is not 443, which Host and Origin name as browsers do.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.stack.people import until
from tests.stack.sandboxes import REPOSITORY, Account, Sandbox
from tests.stack.tls.conftest import PORTAL_NAME as NAME

SHIPPED = REPOSITORY / "deploy" / "nginx" / "mailauth-portal.conf"
HEADERS = (
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "referrer-policy",
    "cache-control",
)
"""Of WEB3: on every response, whoever it is from."""


class WebServer:
    """A sandbox's nginx."""

    def __init__(self, site: Sandbox, verifying: ssl.SSLContext) -> None:
        assert site.portal_https is not None
        assert site.portal_http is not None
        self.https = site.portal_https[1]
        self.plain = f"http://127.0.0.1:{site.portal_http[1]}"
        self.certificates = verifying
        self.log = site.log_files["nginx-access"]

    def browser(self, source: str = "127.0.0.1") -> httpx.Client:
        """A client that has looked the portal's name up, and comes from an address of our choice."""
        transport = httpx.HTTPTransport(verify=self.certificates, local_address=source)
        return httpx.Client(
            transport=_Named(transport, NAME),
            base_url=f"https://127.0.0.1:{self.https}",
            headers={"Host": f"{NAME}:{self.https}", "Origin": f"https://{NAME}:{self.https}"},
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


@pytest.fixture(scope="module")
def server(site: Sandbox, verifying: ssl.SSLContext) -> WebServer:
    return WebServer(site, verifying)


def log_in(client: httpx.Client, account: Account, password: str, code: str = "", **headers: str) -> httpx.Response:
    page = client.get("/login")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None, page.text
    form = {"csrf": token.group(1), "account": account.name, "password": password, "code": code}
    return client.post("/login", data=form, headers=headers)


def test_the_file_is_right(site: Sandbox) -> None:
    main = Path(json.loads((site.dir / "sandbox.json").read_text())["ground"]) / "etc/nginx/nginx.conf"
    judged = subprocess.run(["/usr/sbin/nginx", "-t", "-c", main], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stderr
    assert "warn" not in judged.stderr


def test_the_sandbox_runs_the_shipped_file_with_nothing_changed_but_places_and_the_second_listeners(
    site: Sandbox, server: WebServer
) -> None:
    ground = json.loads((site.dir / "sandbox.json").read_text())["ground"]
    used = (Path(ground) / "etc/nginx/mailauth-portal.conf").read_text()
    for ours, shipped in (
        (f"https://{NAME}:{server.https}/", f"https://{NAME}/"),
        (f"listen 127.0.0.1:{server.https} ssl;", "listen 443 ssl;\n    listen [::]:443 ssl;"),
        (f"listen {server.plain.removeprefix('http://')};", "listen 80;\n    listen [::]:80;"),
        (str(server.log), "/var/log/nginx/mailauth-portal.log"),
        (f"{ground}/etc/dovecot/tls.pem", f"/etc/letsencrypt/live/{NAME}/fullchain.pem"),
        (f"{ground}/etc/dovecot/tls.key", f"/etc/letsencrypt/live/{NAME}/privkey.pem"),
        (ground, ""),
    ):
        used = used.replace(ours, shipped)
    assert used == SHIPPED.read_text()


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

    def lines() -> list[str]:
        logged = site.log_files["mailauth"].read_text().splitlines()
        return [line for line in logged if account.name in line and "service=portal" in line]

    until(lines, "the login is logged")
    assert all("client=127.0.0.7" in line for line in lines()), lines()
    assert "203.0.113.9" not in site.logged()


def test_by_the_name_of_this_machine_it_can_be_tried_out(server: WebServer, site: Sandbox) -> None:
    """A browser on it knows no other name of the sandbox, and the certificate is good for this one."""
    account, url = site.account(enrolled=True), f"https://localhost:{server.https}"
    with httpx.Client(base_url=url, verify=server.certificates, headers={"Origin": url}) as client:
        answer = log_in(client, account, account.password, account.fresh_code())
        assert (answer.status_code, answer.headers["location"]) == (303, "/account"), answer.text
        assert client.get("/account").status_code == 200


@pytest.mark.parametrize("path", ["/login", "/static/portal.css", "/nothing", "/setup", "/link/x"])
def test_no_header_comes_twice(server: WebServer, path: str) -> None:
    with server.browser() as client:
        headers = client.get(path).headers
    assert {name: len(headers.get_list(name)) for name in HEADERS} == dict.fromkeys(HEADERS, 1), path


def raw(server: WebServer, request: bytes) -> tuple[int, dict[str, str]]:
    """What nginx answers to bytes that no library would send."""
    plain = socket.create_connection(("127.0.0.1", server.https), 20)
    with server.certificates.wrap_socket(plain, server_hostname=NAME) as client:
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
    assert answer.headers["location"] == f"https://{NAME}:{server.https}/"


def test_links_from_mails_are_in_no_log(server: WebServer, site: Sandbox) -> None:
    """Requirement WEB4."""
    token = "canary-token-of-a-mailed-link"
    with server.browser() as client:
        client.get(f"/link/{token}", headers={"Referer": f"https://{NAME}/link/{token}"})
        client.get("/help")
    until(lambda: " /help " in server.logged(), "nginx has logged both")
    assert " /link/... " in server.logged()
    assert token not in server.logged() + site.logged()


def test_links_from_mails_that_nginx_cannot_pass_on_are_in_no_log(server: WebServer, site: Sandbox) -> None:
    """WEB4: who reads the log would find one that nobody has followed yet."""
    token = "canary-token-of-a-link-that-fails"
    errors, before = site.log_files["nginx"], site.log_files["nginx"].read_text()
    site.stop("mailauth")
    try:
        with server.browser("127.0.0.10") as client:
            assert client.get(f"/link/{token}").status_code == 502
            assert client.get(f"/link/{token}?{token}").status_code == 502
            answers = {client.get(f"/link/{token}").status_code for _ in range(150)}
            assert 429 in answers
            assert client.get("/help").status_code in (429, 502)
    finally:
        site.start("mailauth")
    until(lambda: "/help" in errors.read_text()[len(before) :], "what is no link is logged as ever")
    assert token not in errors.read_text() + server.logged() + site.logged()


def test_addresses_of_one_ipv6_subscriber_share_one_limit(tmp_path: Path) -> None:
    """LIM6: by the lines of the shipped file, in an nginx that is told where a request comes from."""
    shipped = SHIPPED.read_text()
    zones = re.search(r"map \$binary_remote_addr.*?^limit_conn_zone[^\n]*$", shipped, re.DOTALL | re.MULTILINE)
    assert zones is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(f"""
        pid {tmp_path}/pid; error_log {tmp_path}/errors; daemon off; master_process off; events {{ }}
        http {{
            access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/fastcgi; uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;
            set_real_ip_from 127.0.0.1; real_ip_header X-From;
            {zones.group()}
            server {{
                listen 127.0.0.1:{port}; root {tmp_path}/nothing;
                limit_req zone=mailauth_requests burst=3 nodelay; limit_req_status 429;
            }}
        }}""")
    run = subprocess.Popen(["/usr/sbin/nginx", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "errors"])
    try:
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "nginx has started")

        def answers(*clients: str) -> set[int]:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
                return {http.get("/", headers={"X-From": client}).status_code for client in clients}

        assert answers(*(f"2001:db8:1:a0a::{number:x}" for number in range(1, 60))) == {404, 429}
        assert answers(*(f"2001:db8:2:{number:x}::1" for number in range(1, 60))) == {404}
        assert answers(*(f"192.0.2.{number}" for number in range(1, 60))) == {404}
        assert answers(*["198.51.100.7"] * 60) == {404, 429}
        assert answers(*(f"::ffff:198.51.101.{number}" for number in range(1, 60))) == {404}
    finally:
        run.terminate()
        run.wait(20)


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


def test_only_the_web_server_gets_to_the_portal_itself(site: Sandbox) -> None:
    """LIM6: another user of this machine could say who the client is."""
    ground = json.loads((site.dir / "sandbox.json").read_text())["ground"]
    asking = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
    for user, ends in (("www-data", 0), ("nobody", 1), ("dovecot", 1)):
        command = ["setpriv", "--reuid", user, "--regid", user if user != "nobody" else "nogroup", "--clear-groups"]
        done = subprocess.run(
            [*command, "/usr/bin/python3", "-c", asking, f"{ground}/run/mailauth/portal.sock"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ends, (user, done.stderr)
        assert ("PermissionError" in done.stderr) == bool(ends)


def test_without_the_portal_people_read_a_sentence_and_the_headers_stay(server: WebServer, site: Sandbox) -> None:
    site.stop("mailauth")
    try:
        with server.browser() as client:
            answer = client.get("/login")
    finally:
        site.start("mailauth")
    assert answer.status_code == 502
    assert "try again" in answer.text
    assert set(HEADERS) <= set(answer.headers)

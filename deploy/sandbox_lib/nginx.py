"""The sandbox's own nginx, around the shipped file of ../nginx: the portal with TLS.

Here is what a site has of its own: the portal's name, ports, certificate, and the rest of
nginx.conf. It is this machine's nginx, as mailauth is this machine's. Writes files;
starts nothing.
"""

from __future__ import annotations

from pathlib import Path

from . import certificates
from .ground import REPOSITORY, Ground, SandboxError, System
from .ports import HOST

SHIPPED = REPOSITORY / "deploy" / "nginx" / "mailauth-portal.conf"
SHIPPED_NAME = "2fa.mailitwize.be"
CONFIGURATION = "/etc/nginx"
PORTAL_SOCKET = "/run/mailauth/portal.sock"
PORTS = ("portal_https", "portal_http")
USER = "www-data"


def check() -> None:
    """Raise SandboxError where there is no nginx."""
    if System().find("nginx") is None:
        raise SandboxError("nginx is not installed: run `make dev`")


def write(ground: Ground, portal_name: str, ports: dict[str, int]) -> Path:
    """Write the configuration; return its main file."""
    folder = ground.at(CONFIGURATION)
    folder.mkdir(parents=True, exist_ok=True)
    ground.at("/var/lib/nginx").mkdir(parents=True, exist_ok=True)
    text = SHIPPED.read_text()
    for shipped, ours in (
        ("listen 80;", f"listen {HOST}:{ports['portal_http']};"),
        ("    listen [::]:80;\n", ""),
        ("listen 443 ssl;", f"listen {HOST}:{ports['portal_https']} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        (f"return 301 https://{SHIPPED_NAME}/;", f"return 301 https://{portal_name}:{ports['portal_https']}/;"),
        (f"server unix:{PORTAL_SOCKET};", f"server unix:{ground.at(PORTAL_SOCKET)};"),
        ("/var/log/nginx/mailauth-portal.log", str(access_log(ground))),
        (f"/etc/letsencrypt/live/{SHIPPED_NAME}/fullchain.pem", str(ground.at(certificates.CERTIFICATE))),
        (f"/etc/letsencrypt/live/{SHIPPED_NAME}/privkey.pem", str(ground.at(certificates.KEY))),
    ):
        if text.count(shipped) != 1:
            raise SandboxError(f"{SHIPPED} has not exactly one {shipped.strip()!r}")
        text = text.replace(shipped, ours)
    included = folder / SHIPPED.name
    included.write_text(text.replace(f"server_name {SHIPPED_NAME};", f"server_name {portal_name};"))
    main = folder / "nginx.conf"
    main.write_text(
        MAIN.format(user=USER, run=ground.at("/run"), log=log(ground), data=ground.at("/var/lib/nginx"), file=included)
    )
    return main


def command(ground: Ground, *words: str) -> list[str]:
    """Its master in the foreground."""
    main = ground.at(f"{CONFIGURATION}/nginx.conf")
    return System().argv("nginx", "-c", str(main), "-e", str(log(ground)), *(words or ("-g", "daemon off;")))


def log(ground: Ground) -> Path:
    """Where it says what went wrong."""
    return ground.log("nginx")


def access_log(ground: Ground) -> Path:
    """Where it says who came."""
    return ground.log("nginx-access")


MAIN = """# A sandbox of mailauth: nginx.
user {user};
worker_processes 1;
pid {run}/nginx.pid;
error_log {log};
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {data}/body;
    proxy_temp_path {data}/proxy;
    fastcgi_temp_path {data}/fastcgi;
    uwsgi_temp_path {data}/uwsgi;
    scgi_temp_path {data}/scgi;
    include {file};
}}
"""

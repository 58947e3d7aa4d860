"""A sandbox's own certificate authority, and the certificate of all its servers.

Real clients refuse a certificate that nobody signed, and many offer no way around; with
the authority's certificate (`ca`) they try TLS as in life. The authority's key is thrown
away when the certificate is signed. Writes files; starts nothing.
"""

from __future__ import annotations

from .ground import Ground

AUTHORITY = "/etc/mailauth/ca.pem"
CERTIFICATE = "/etc/dovecot/tls.pem"
KEY = "/etc/dovecot/tls.key"
DAYS = "30"
NAMES = ("DNS:localhost", "DNS:sandbox.test", "IP:127.0.0.1", "IP:::1")

# RFC 5280's extensions, all of which Python 3.13 and newer insist on.
REQUEST = """[req]
distinguished_name = nobody
prompt = no
[nobody]
CN = mailauth sandbox
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


def make(ground: Ground, portal_name: str) -> None:
    """Make both, for this machine by its names, and for the name of the portal."""
    names = (*NAMES, f"DNS:{portal_name}")
    request = ground.at("/etc/dovecot/tls.cnf")
    request.write_text(REQUEST.format(names=", ".join(dict.fromkeys(names))))
    key_of_authority = ground.at("/etc/mailauth/ca.key")
    key_of_authority.parent.mkdir(parents=True, exist_ok=True)
    sign(ground, "authority", "mailauth sandbox authority", "/etc/mailauth/ca.key", AUTHORITY)
    sign(
        ground, "server", "localhost", KEY, CERTIFICATE,
        "-CA", ground.inner(AUTHORITY), "-CAkey", ground.inner("/etc/mailauth/ca.key"),
    )  # fmt: skip
    key_of_authority.unlink()
    request.unlink()
    ground.at(AUTHORITY).chmod(0o644)


def sign(ground: Ground, extensions: str, name: str, key: str, certificate: str, *by: str) -> None:
    """Make a key and a certificate for it, signed by itself or by the authority."""
    ground.system.output(
        "openssl", "req", "-x509", "-config", ground.inner("/etc/dovecot/tls.cnf"), "-extensions", extensions,
        "-subj", f"/CN={name}", "-days", DAYS, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", ground.inner(key), "-out", ground.inner(certificate), *by,
    )  # fmt: skip

"""A mail server is told a name in full, also where the machine has none."""

import socket

import pytest

from mailauth.effects import helo


def test_full_name_is_one_that_others_can_know() -> None:
    for name in ("mail.example.org", "2fa.example.org", "xn--mller-kva.example", "a.b"):
        assert helo.is_fqdn(name), name
    for name in (
        "",
        "vm",
        "localhost",
        "vm.localdomain",
        "printer.local",
        "192.0.2.7",
        "m\u00fcller.example",
        "-a.example",
        "a_b.example",
        "a b.example",
        "mail.example.org.",
        f"{'a.' * 127}aa",
        "mail.example.org\r\nRSET",
    ):
        assert not helo.is_fqdn(name), name


@pytest.mark.parametrize(
    ("own", "resolved", "hints", "expected"),
    [
        ("mail.example.org", "", ("2fa.example.org",), "mail.example.org"),
        ("vm", "vm.example.org", ("2fa.example.org",), "vm.example.org"),
        ("vm", "vm.localdomain", ("2fa.example.org", "example.org"), "2fa.example.org"),
        ("vm", None, ("127.0.0.1", "example.org"), "example.org"),
        ("vm", "vm", ("localhost", "localhost"), "[127.0.0.1]"),
    ],
)
def test_name_is_the_machines_else_the_portals_else_the_senders(
    monkeypatch: pytest.MonkeyPatch, own: str, resolved: str | None, hints: tuple[str, ...], expected: str
) -> None:
    def getaddrinfo(name: str, *_args: object, **_options: object) -> list[tuple[object, ...]]:
        if resolved is None:
            raise socket.gaierror("no name server")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, resolved, ("127.0.1.1", 0))]

    monkeypatch.setattr(socket, "gethostname", lambda: own)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert helo.own_name(hints) == expected

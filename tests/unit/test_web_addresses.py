"""WEB6: a web site has one address, however it is written."""

import pytest

from mailauth.core.web_addresses import host_of, origin_of
from mailauth.vocabulary.errors import InvalidValue
from tests.cases import case

ONE_ORIGIN = {
    "https://2fa.example.org": (
        "https://2fa.example.org",
        "https://2fa.example.org/",
        "HTTPS://2FA.Example.ORG",
        "https://2fa.example.org:443",
        "https://2fa.example.org:",
        "https://2fa.example.org.",
        "https://2fa.example.org.:443/login?x#y",
    ),
    "https://2fa.example.org:8443": ("https://2fa.example.org:8443", "https://2fa.example.org.:08443/"),
    "https://2fa.example.org:80": ("https://2fa.example.org:80",),
    "https://xn--mnchen-3ya.example": (
        "https://m\u00fcnchen.example",
        "https://M\u00dcNCHEN.example.",
        "https://XN--MNCHEN-3YA.example",
    ),
    "http://localhost": ("http://localhost:80/",),
    "http://127.0.0.1:8425": ("http://127.0.0.1:8425",),
    "https://[2001:db8::7]": ("https://[2001:DB8:0::7]:443",),
}
ONE_HOST = {
    "2fa.example.org": ("2fa.example.org", "2FA.example.org:443", "2fa.example.org.", "2fa.example.org.:8443"),
    "xn--mnchen-3ya.example": ("xn--mnchen-3ya.example:443", "m\u00fcnchen.example"),
    "[::1]": ("[::1]", "[0:0::1]:8425"),
    "a_b.example": ("a_b.example",),
}
NO_HOST = (
    "",
    ".",
    "..",
    "a..b",
    "a b",
    "a@b",
    "a\\b",
    "a:x",
    "a:70000",
    "[::1",
    "::1",
    "a,b",
    "-a.example",
    "a\tb",
    "\u2024",
)


def test_an_origin_has_one_form() -> None:
    for canonical, written in ONE_ORIGIN.items():
        for url in written:
            with case(url):
                assert origin_of(url) == canonical
                assert origin_of(origin_of(url)) == canonical


def test_a_host_has_one_form_whatever_its_port() -> None:
    for canonical, written in ONE_HOST.items():
        for authority in written:
            with case(authority):
                assert host_of(authority) == canonical


def test_what_is_no_host_has_none() -> None:
    for authority in NO_HOST:
        with case(authority):
            with pytest.raises(InvalidValue):
                host_of(authority)
            with pytest.raises(InvalidValue):
                origin_of(f"https://{authority}")
    for url in (
        "ftp://example.org",
        "example.org",
        "https:example.org",
        "//example.org",
        "null",
        "https://u:p@example.org",
    ):
        with case(url), pytest.raises(InvalidValue):
            origin_of(url)

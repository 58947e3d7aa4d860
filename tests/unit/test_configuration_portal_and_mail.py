"""The sections `portal` and `mail`: what they take, and that no password or recovery code goes out in the clear."""

import pytest

from mailauth.effects.configuration.fields import endpoint
from mailauth.effects.configuration.loading import parse
from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.errors import InvalidConfiguration
from tests.world import completed

DATE = '[cutover]\ndate = "2025-05-05T00:00 Europe/Brussels"\n'


def read(section: str) -> Configuration:
    return parse(completed(DATE + section), "test.toml")


def mistakes(section: str) -> dict[str, str]:
    with pytest.raises(InvalidConfiguration) as refused:
        read(section)
    return {mistake.place: mistake.problem for mistake in refused.value.mistakes}


def test_a_file_that_says_nothing_of_them_has_defaults_that_work_on_one_machine() -> None:
    configuration = read("")
    assert configuration.portal.socket_path == "/run/mailauth/portal.sock"
    assert (configuration.portal.socket_group, configuration.portal.socket_mode) == ("www-data", "0660")
    assert configuration.portal.trusted_proxies == []
    assert (configuration.mail.host, configuration.mail.port, configuration.mail.tls) == ("127.0.0.1", 25, "none")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://2fa.example.org", "https://2fa.example.org"),
        ("https://2fa.example.org/", "https://2fa.example.org"),
        ("https://2fa.example.org:8443", "https://2fa.example.org:8443"),
        ("http://127.0.0.1:8425", "http://127.0.0.1:8425"),
        ("http://localhost:8425", "http://localhost:8425"),
        ("https://2FA.example.org.:443/", "https://2fa.example.org"),
        ("https://zw\u00f6lf.example", "https://xn--zwlf-6qa.example"),
    ],
)
def test_the_portal_has_a_public_address(url: str, kept: str) -> None:
    assert read(f'[portal]\nurl = "{url}"\n').portal.url == kept


@pytest.mark.parametrize("url", ["2fa.example.org", "https://", "https://example.org/2fa", "ftp://example.org", "x"])
def test_what_is_no_origin_is_no_public_address(url: str) -> None:
    assert mistakes(f'[portal]\nurl = "{url}"\n') == {
        "portal.url": "not a web address without a path; write it as https://2fa.example.org"
    }


def test_no_address_that_users_are_shown_has_a_users_name_in_it() -> None:
    """What stands before an @ passes for the site's name, and browsers send it along."""
    for section in ("portal", "provider"):
        (problem,) = mistakes(f'[{section}]\nurl = "https://2fa.mailitwize.be@example.org"\n').values()
        assert problem.startswith("there is a user's name in it: not a web address")


def test_the_address_in_refusals_is_ascii_as_they_are() -> None:
    assert (
        read('[provider]\nurl = "https://zw\u00f6lf.example/Hilfe?x"\n').provider.url
        == "https://xn--zwlf-6qa.example/Hilfe?x"
    )
    (problem,) = mistakes('[provider]\nurl = "https://example.org/zw\u00f6lf"\n').values()
    assert "has to be ASCII" in problem


def test_words_of_refusals_are_such_as_can_be_written_in_ascii() -> None:
    assert read('[refusal]\nafter = "F\u00fcr {provider} \u2013 {url}"\n').refusal.after.startswith("F\u00fcr")
    (problem,) = mistakes('[refusal]\nafter = "\u041f\u043e\u0447\u0442\u0430 {url}"\n').values()
    assert "goes out in ASCII" in problem


def test_passwords_are_never_typed_into_http_of_another_machine() -> None:
    found = mistakes('[portal]\nurl = "http://2fa.example.org"\n')
    assert found == {"portal.url": "http is for this machine alone; passwords need https"}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("127.0.0.1:8425", ("127.0.0.1", 8425)),
        ("[::1]:8425", ("::1", 8425)),
        ("imap.example.org:993", ("imap.example.org", 993)),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, means: tuple[str, int]) -> None:
    assert endpoint(text) == means


@pytest.mark.parametrize("text", ["127.0.0.1", "host:", ":993", "host:99999", "host:0", "a@b:1", "host:1/x", "h:x"])
def test_what_has_no_port_is_no_endpoint(text: str) -> None:
    problem = "not an address with a port; write it as imap.example.org:993 or 127.0.0.1:8425"
    assert mistakes(f'[portal]\nlisten = "{text}"\n') == {"portal.listen": problem}


AT_A_PORT = 'listen = "192.0.2.8:8425"\n'


def test_at_a_port_the_web_server_in_front_has_to_be_named() -> None:
    """Else its word counts for nothing, and one guesser keeps everybody out."""
    (problem,) = mistakes(f"[portal]\n{AT_A_PORT}").values()
    assert "trusted_proxies has to name the web server" in problem
    assert "unix:/run/mailauth/portal.sock" in problem
    named = read(f'[portal]\n{AT_A_PORT}trusted_proxies = ["192.0.2.9/32"]\n').portal
    assert (named.socket_path, named.trusted_proxies) == (None, ["192.0.2.9/32"])


def test_to_try_the_portal_out_a_browser_of_this_machine_may_come_to_a_port() -> None:
    tried = read('[portal]\nlisten = "127.0.0.1:8425"\nurl = "http://127.0.0.1:8425"\n').portal
    assert tried.trusted_proxies == []


@pytest.mark.parametrize("network", ["127.0.0.0/8", "127.0.0.1/32", "::1/128", "0.0.0.0/0", "::/0"])
def test_this_machine_is_no_trusted_proxy(network: str) -> None:
    """LIM6: each of its users could claim to be anybody."""
    for listen in (AT_A_PORT, ""):
        (problem,) = mistakes(f'[portal]\n{listen}trusted_proxies = ["{network}"]\n').values()
        assert problem == (
            f"{network} is every program of this machine; let the web server here use the Unix socket (listen)"
        )


def test_this_machine_by_a_mapped_network_is_no_trusted_proxy() -> None:
    (problem,) = mistakes('[portal]\ntrusted_proxies = ["::ffff:127.0.0.0/104"]\n').values()
    assert problem.startswith("127.0.0.0/8 is every program of this machine")


@pytest.mark.parametrize("listen", ["unix:portal.sock", "unix:", f"unix:/{'x' * 107}"])
def test_a_unix_socket_has_a_path_that_can_be(listen: str) -> None:
    assert set(mistakes(f'[portal]\nlisten = "{listen}"\n')) == {"portal.listen"}


@pytest.mark.parametrize("mode", ["0666", "0661", "0662", "0664"])
def test_the_unix_socket_is_for_nobody_else(mode: str) -> None:
    found = mistakes(f'[portal]\nsocket_mode = "{mode}"\n')
    assert found == {"portal.socket_mode": "nothing for others: whoever can connect says who the client is"}


@pytest.mark.parametrize("colour", ["blue", "#fff", "#12345g", "#1234567"])
def test_a_colour_is_six_hexadecimal_digits(colour: str) -> None:
    assert set(mistakes(f'[portal]\ncolour = "{colour}"\n')) == {"portal.colour"}


@pytest.mark.parametrize("host", ["mail.example.org", "192.0.2.7", "2001:db8::7"])
def test_mails_never_leave_this_machine_in_the_clear(host: str) -> None:
    """MAIL3."""
    found = mistakes(f'[mail]\nhost = "{host}"\n')
    assert found == {"mail": 'tls = "none" is for this machine alone; recovery codes need "starttls" or "tls"'}
    assert read(f'[mail]\nhost = "{host}"\ntls = "starttls"\n').mail.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_to_this_machine_mails_may_go_in_the_clear(host: str) -> None:
    assert read(f'[mail]\nhost = "{host}"\n').mail.tls == "none"


@pytest.mark.parametrize("section", ['user = "x"\n', 'password_file = "/x"\n'])
def test_a_user_without_password_file_is_a_mistake(section: str) -> None:
    assert mistakes("[mail]\n" + section) == {"mail": "user and password_file go together"}


@pytest.mark.parametrize("sender", ["nobody", "a@b@c", "a b@example.org", "x@example.org, y@example.org"])
def test_the_sender_is_one_address(sender: str) -> None:
    assert set(mistakes(f'[mail]\nsender = "{sender}"\n')) == {"mail.sender"}


def test_name_for_ehlo_is_full_and_ascii() -> None:
    assert read("").mail.helo == ""
    assert read('[mail]\nhelo = "mail.example.org"\n').mail.helo == "mail.example.org"
    assert read('[mail]\nhelo = "m\u00fcller.example"\n').mail.helo == "xn--mller-kva.example"
    for name in ("vm", "localhost", "192.0.2.7", "a b.example", "-a.example"):
        found = mistakes(f'[mail]\nhelo = "{name}"\n')
        assert found == {"mail.helo": "not the full name of a host; write it as mail.example.org"}


def test_domain_of_the_sender_is_written_as_people_do_and_travels_in_ascii() -> None:
    assert read('[mail]\nsender = "support@müller.example"\n').mail.sender == "support@xn--mller-kva.example"


def test_sender_that_would_need_smtputf8_for_every_mail_is_a_mistake() -> None:
    found = mistakes('[mail]\nsender = "zoë@example.org"\n')
    assert found == {
        "mail.sender": "only ASCII before the @: else no mail leaves where a server lacks SMTPUTF8 (RFC 6531)"
    }

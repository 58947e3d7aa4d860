"""What the configuration takes of password sources, and which of it would be unsafe; what an IMAP NO means."""

import imaplib
from pathlib import Path

import pytest

from mailauth.core.password_chain import Disabled, Expired, Wrong
from mailauth.effects.configuration import loading
from mailauth.effects.configuration.source_sections import ImapSection
from mailauth.effects.sources.imap import Imap
from mailauth.vocabulary.errors import InvalidConfiguration, SourceUnavailable
from tests.world import configuration_text

OWN = '{kind="own"}'


def problems(*sections: str) -> str:
    try:
        loading.parse(configuration_text(Path("/nowhere"), f"sources=[{','.join(sections)}]"), "test")
    except InvalidConfiguration as error:
        return "; ".join(f"{mistake.place}: {mistake.problem}" for mistake in error.mistakes)
    return ""


@pytest.mark.parametrize(
    "section",
    [
        '{kind="ldap",url="ldaps://h",base="dc=x"}',
        '{kind="ldap",url="ldap://h",start_tls=true,base="dc=x"}',
        '{kind="ldap",url="ldap://127.0.0.1:389",dn="uid={local},dc=x",domains=["example.org"]}',
        '{kind="ldap",url="ldaps://h",dn="uid={local},ou={domain},dc=x"}',
        '{kind="ldap",url="ldaps://h",dn="mail={user},dc=x"}',
        '{kind="ldap",url="ldapi://%2Frun%2Fldapi",base="dc=x"}',
        '{kind="imap",host="imap.example.org"}',
        '{kind="imap",host="127.0.0.1",tls="none"}',
        '{kind="imap",host="h",local_part=true,domains=["example.org"]}',
        '{kind="sql",url="sqlite:////x",preset="postfixadmin"}',
        '{kind="passwd-file",file="/x",domains=["*.example.org","example.net"]}',
    ],
)
def test_section_that_is_whole_and_safe_is_taken(section: str) -> None:
    assert problems(section) == ""


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('{kind="ldap",url="ldap://h",base="dc=x"}', "in the clear"),
        ('{kind="ldap",url="ldaps://h",start_tls=true,base="dc=x"}', "for ldap:// alone"),
        ('{kind="ldap",url="http://h",base="dc=x"}', "write it as ldaps"),
        ('{kind="ldap",url="ldaps://h"}', "needs either base"),
        ('{kind="ldap",url="ldaps://h",base="dc=x",filter="(mail=anna)"}', "everybody would be the same user"),
        ('{kind="ldap",url="ldaps://h",dn="uid={local},dc=x"}', "would be one user"),
        ('{kind="ldap",url="ldaps://h",dn="uid={local},dc=x",domains=["*.example.org"]}', "would be one user"),
        ('{kind="imap",host="imap.example.org",tls="none"}', "in the clear"),
        ('{kind="imap",host="h",local_part=true}', "would be one user"),
        ('{kind="sql",preset="postfixadmin"}', "either url or url_file"),
        ('{kind="sql",url="sqlite:////x"}', "either a preset or a lookup"),
        ('{kind="sql",url="sqlite:////x",preset="iredmail",lookup="SELECT 1"}', "either a preset or a lookup"),
        ('{kind="passwd-file"}', "sources[1].file: is missing"),
        ('{kind="passwd-file",file="/x",domains=["a b"]}', "not a mail domain"),
        ('{kind="passwd-file",file="/x",domains=[]}', "at least 1 item"),
        ('{kind="passwd-file",file="/x",default_scheme="ROT13"}', "no scheme that can be checked"),
        ('{kind="passwd-file",file="/x",name="Not a name"}', "does not have the right form"),
        ('{kind="passwd-file",file="/x",nmae="x"}', "no such key"),
        ('{kind="radius"}', "there are: own, pam, sql, passwd-file, ldap, imap"),
        ('{file="/x"}', "is missing `kind`"),
    ],
)
def test_section_that_cannot_work_or_is_unsafe_is_named(section: str, problem: str) -> None:
    assert problem in problems(section)


def test_source_that_would_never_be_asked_is_named() -> None:
    other = '{kind="passwd-file",file="/x"}'
    assert "passwd-file is never asked, since own has all domains" in problems(OWN, other)
    assert problems('{kind="own",on_unknown="next"}', other) == ""
    assert problems('{kind="own",domains=["a.example"]}', other) == ""
    assert "two sources are called passwd-file" in problems(
        '{kind="passwd-file",file="/x",on_unknown="next"}', '{kind="passwd-file",file="/y"}'
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"[AUTHENTICATIONFAILED] Authentication failed.", Wrong),
        (b"Login incorrect", Wrong),
        ("[ALERT] Wrong", Wrong),
        (b"[AUTHORIZATIONFAILED] no", Disabled),
        (b"[EXPIRED] change it", Expired),
        (b"[UNAVAILABLE] Temporary authentication failure.", None),
        (b"[PRIVACYREQUIRED] use TLS", None),
        (b"[LIMIT] too many", None),
    ],
)
def test_refusal_of_an_imap_server_is_a_wrong_password_or_no_answer(said: bytes, meant: type | None) -> None:
    source = Imap(ImapSection.model_validate({"kind": "imap", "host": "127.0.0.1"}))
    try:
        if meant is None:
            with pytest.raises(SourceUnavailable):
                source._meant(imaplib.IMAP4.error(said))
        else:
            assert isinstance(source._meant(imaplib.IMAP4.error(said)), meant)
    finally:
        source.close()

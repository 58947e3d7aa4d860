"""MAIL8, MAIL9: headers say to a strict reader what they are to say, and only ASCII travels where it has to."""

import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.core import mail_address, mail_header
from mailauth.effects.languages import Languages
from mailauth.effects.mails.writing import Mails
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.notices import Notice, NoticeKind
from tests.unit import strict_headers
from tests.unit.every_mail import AFTER, BEFORE, EVERY_MAIL, FACTS, LETTERHEAD, MAILS, html_of, write

COUNTED: dict[NoticeKind, list[dict[str, Any]]] = {
    NoticeKind.RECOVERY_CODE_USED: [{"left": left} for left in range(12)],
    NoticeKind.RIGHT_PASSWORD_WRONG_CODE: [
        {"count": count, "since": "2025-05-06T12:00:00+00:00"} for count in (1, 2, 5, 11, 21, 100, 1000, 12345)
    ],
    NoticeKind.APP_PASSWORD_REVOKED: [{"names": ["Phone"] * count} for count in (1, 2, 5, 25)],
}
PROVIDERS = (
    "Mail-IT-Wize",
    "Fernández & Söhne, «Poste»",
    'The "Best" (Mail) \\ Co.',
    "株式会社メール" * 3,
    "=?utf-8?q?x?=",
)


def head_of(mail: Any, *, ascii_only: bool = True) -> dict[str, str]:
    head, _, _ = mail.as_bytes().partition(b"\r\n\r\n")
    found = strict_headers.fields(head + b"\r\n", ascii_only=ascii_only)
    assert len({field.name.lower() for field in found}) == len(found)
    return dict(found)


def test_every_mail_has_headers_that_a_strict_reader_takes() -> None:
    for language, kind, facts, moment in EVERY_MAIL:
        if moment is BEFORE and kind is not NoticeKind.ANNOUNCEMENT:
            continue  # no other says anything of the date in its headers
        mail = write(kind, language, facts, moment)
        head = head_of(mail)
        assert strict_headers.text(head["Subject"]) == str(mail["Subject"])
        assert strict_headers.mailbox(head["From"]) == ("Mail-IT-Wize", "noreply@mailitwize.be")
        for part in mail.walk():
            strict_headers.fields(part.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n")


def test_subject_of_each_count_in_each_language_is_read_as_it_was_written() -> None:
    """What was seen: « étérévoqués », by the blank that a fold lost between two encoded-words."""
    for language in LANGUAGES:
        for kind, all_facts in COUNTED.items():
            for facts in all_facts:
                subject = str(write(kind, language, facts)["Subject"])
                (field,) = strict_headers.fields(mail_header.unstructured("Subject", subject).encode())
                assert strict_headers.text(field.value) == subject


def test_name_of_any_provider_is_read_as_it_was_written() -> None:
    for provider in PROVIDERS:
        mails = Mails(Languages(), replace(LETTERHEAD, provider=provider))
        for language in LANGUAGES:
            mail = write(NoticeKind.RECOVERY_CODES, language, mails=mails)
            head = head_of(mail)
            assert strict_headers.mailbox(head["From"]) == (provider, "noreply@mailitwize.be")
            assert strict_headers.text(head["Subject"]) == str(mail["Subject"])


def plain(text: str) -> str:
    """Return what of a text can be said: no controls, and no halves of characters."""
    kept = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in text)
    return kept.encode("utf-8", "replace").decode()


TEXTS = st.text(max_size=300) | st.text("aé ̈=?_ \u00a0😀名", max_size=200) | st.text("ab ", max_size=300)


@given(TEXTS)
@example("Vos mots de passe d'application ont été révoqués\u00a0: 12")
@example("a  b")
@example(" a ")
@example("=?utf-8?q?x?=")
@example("x" * 2000)
@example("e" + "\u0301" * 300)
@example("a\r\nBcc: b@evil.example")
@example("\ud800")
@example("")
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    (field,) = strict_headers.fields(mail_header.unstructured("Subject", text).encode("ascii") or b"")
    assert strict_headers.text(field.value) == plain(text)


@given(st.text(max_size=80), st.sampled_from(["a@b.example", f"{'a' * 64}@{'b' * 60}.{'c' * 60}.example"]))
@example('a "b" \\', "a@b.example")
@example("a.b", "a@b.example")
@example("\u00e9 <x@y>,", "a@b.example")
def test_any_name_of_a_mailbox_is_read_as_it_was_written(name: str, address: str) -> None:
    (field,) = strict_headers.fields(mail_header.mailbox("From", name, address).encode("ascii"))
    assert strict_headers.mailbox(field.value) == (plain(name).strip(), address)


def test_pictures_have_short_names_that_are_ids_and_are_shown_by_them() -> None:
    """RFC 2392: what HTML shows by `cid:` is what stands in Content-ID, within its brackets."""
    long_one = replace(LETTERHEAD, portal=f"https://{'a' * 60}.{'b' * 60}.example:8443")
    for mails in (MAILS, Mails(Languages(), long_one)):
        for language in LANGUAGES:
            mail = write(NoticeKind.ANNOUNCEMENT, language, moment=BEFORE, mails=mails)
            ids = []
            for part in mail.walk():
                if part.get_content_type() == "image/png":
                    head = dict(strict_headers.fields(part.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n"))
                    assert strict_headers.MSG_ID.fullmatch(head["Content-ID"])
                    assert len(head["Content-ID"]) < 50
                    ids.append(head["Content-ID"][1:-1])
            assert len(set(ids)) == 5
            assert re.findall(r'src="cid:([^"]+)"', html_of(mail)) == ids


def test_domains_beyond_ascii_travel_as_a_labels() -> None:
    idn = replace(LETTERHEAD, sender="noreply@müller.example", support="hilfe@müller.example")
    mails = Mails(Languages(), idn)
    for kind in NoticeKind:
        notice = Notice(kind, "a@b.example", AFTER, "imap", "", "", FACTS.get(kind, [{}])[0])
        # An id of a mail that was queued before the sender's domain was encoded.
        mail = mails.write(notice, "de", "anna@bücher.example", "<0123@müller.example>")
        head = head_of(mail)
        assert strict_headers.mailbox(head["From"]) == ("Mail-IT-Wize", "noreply@xn--mller-kva.example")
        assert strict_headers.mailbox(head["Reply-To"]) == ("", "hilfe@xn--mller-kva.example")
        assert strict_headers.mailbox(head["To"]) == ("", "anna@xn--bcher-kva.example")
        assert head["Message-ID"] == "<0123@xn--mller-kva.example>"
        assert mail.as_bytes().isascii()
        assert 'href="mailto:hilfe@xn--mller-kva.example"' in html_of(mail)
        assert ">hilfe@müller.example</a>" in html_of(mail), "people read it as they write it"


def test_address_for_answers_that_cannot_travel_is_left_to_the_text() -> None:
    mails = Mails(Languages(), replace(LETTERHEAD, support="zoë@müller.example"))
    mail = write(NoticeKind.AUTHENTICATOR_REPLACED, mails=mails)
    assert "Reply-To" not in head_of(mail)
    assert "zoë@müller.example" in html_of(mail)


def test_address_in_ascii_keeps_its_local_part() -> None:
    for address, expected in (
        ("a@b.example", "a@b.example"),
        ("a@MÜLLER.example", "a@xn--mller-kva.example"),
        ("zoë@bücher.example", "zoë@xn--bcher-kva.example"),
        ("a@b_c.example", "a@b_c.example"),
    ):
        assert mail_address.in_ascii(address) == expected
    for address in ("a@\u0301.example", "a@ü..example", f"a@{'ü' * 70}.example", "a@\ud800.example"):
        with pytest.raises(InvalidValue):
            mail_address.in_ascii(address)

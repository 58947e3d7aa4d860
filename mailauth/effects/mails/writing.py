"""From a notice to the mail that is sent: templates filled in, text and HTML put together as one message.

Each kind has one template in `templates/`, which says what the mail says; it is rendered twice, with the parts of
`text.j2` and those of `html.j2`. Pictures of the portal's pages, for the announcement, are files
`pictures/<language>/<step>.png` with the steps in `STEPS`; one that is not there is left out, and described in words.
Reads those files, and nothing else. Headers are encoded and folded by `core/mail_header.py`.
"""

import hashlib
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.policy import Policy as HeaderPolicy
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mailauth.core import mail_address, mail_header
from mailauth.core.colour import readable_on
from mailauth.core.policy import Policy
from mailauth.effects.languages import Languages
from mailauth.effects.mails import origins
from mailauth.vocabulary.notices import Notice, NoticeKind

STEPS = ("login", "setup", "confirm", "scan", "done")
"""The portal's pages that the announcement shows, in their order."""
PICTURES = Path(__file__).with_name("pictures")
_TEMPLATES = Path(__file__).with_name("templates")
_TEXT_COLUMNS = 72

APPS = (
    (
        "Google Authenticator",
        "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2",
        "https://apps.apple.com/app/google-authenticator/id388497605",
    ),
    (
        "Microsoft Authenticator",
        "https://play.google.com/store/apps/details?id=com.azure.authenticator",
        "https://apps.apple.com/app/microsoft-authenticator/id983156458",
    ),
)
"""Authenticator apps that are offered: name, where it is for Android, where for iOS."""


class _Subject(UniqueUnstructuredHeader, BaseHeader):
    """A subject that says what it was given: nothing in it is taken for an encoded-word, or for defective."""

    max_count: ClassVar[Literal[1]] = 1

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        """Take the text as it stands."""
        kwds.update(decoded=value, parse_tree=None)

    def fold(self, *, policy: HeaderPolicy) -> str:
        """Return the header as lines, whoever asks."""
        return mail_header.unstructured(self.name, str(self))


class _Policy(EmailPolicy):
    """How a mail becomes bytes: with our own headers, and lines as they go over the wire."""

    def fold(self, name: str, value: Any) -> str:
        """Return a header field as lines."""
        match name.lower():
            case "subject":
                return mail_header.unstructured(name, str(value))
            case "from" | "to" | "reply-to":
                (found,) = value.addresses
                return mail_header.mailbox(name, found.display_name, f"{found.username}@{found.domain}")
            case _:
                return mail_header.structured(name, str(value))

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Do the same as bytes."""
        return self.fold(name, value).encode("utf-8")


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("Subject", _Subject)
_POLICY = _Policy(linesep="\r\n", header_factory=_HEADERS)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of a provider have in common. `portal` is its web address, without a slash at the end."""

    provider: str
    support: str
    sender: str
    portal: str
    colour: str
    policy: Policy


class _Picture:
    """A picture in a mail, and the name by which the HTML shows it."""

    def __init__(self, step: str, content: bytes) -> None:
        self.content = content
        # RFC 2045 s7: unique, and of the form of a msg-id (RFC 5322 s3.6.4), which is ASCII and stays on its line.
        self.content_id = f"{step}.{hashlib.sha256(content).hexdigest()[:12]}@mailauth"


class Mails:
    """Writes mails."""

    def __init__(self, languages: Languages, letterhead: Letterhead, pictures: Path = PICTURES) -> None:
        self._languages = languages
        self._letterhead = letterhead
        self._pictures = pictures
        self._zone = letterhead.policy.zone
        self._environment = lru_cache(maxsize=None)(self._new_environment)

    def write(self, notice: Notice, language: str, recipient: str, message_id: str) -> EmailMessage:
        """Return the mail that tells somebody about a notice, in one of our languages, ready to be sent.

        The same arguments give the same mail, but for the boundaries between its parts.
        """
        language = self._languages.negotiate(None, language)
        pictures = self._pictures_of(notice.kind, language)
        facts = self._facts(notice, language, {step: picture.content_id for step, picture in pictures.items()})
        subject, text = self._render(notice.kind, language, facts, is_html=False)
        _, html = self._render(notice.kind, language, facts, is_html=True)

        letterhead = self._letterhead
        sender, support = mail_address.in_ascii(letterhead.sender), mail_address.in_ascii(letterhead.support)
        mail = EmailMessage(_POLICY)
        mail["From"] = _address(sender, letterhead.provider)
        mail["To"] = _address(mail_address.in_ascii(recipient))
        mail["Subject"] = subject
        mail["Date"] = notice.moment
        mail["Message-ID"] = f"<{mail_address.in_ascii(message_id.strip('<>'))}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 s5: nobody's vacation message answers it
        if "@" in support and support != sender and support.isascii():
            mail["Reply-To"] = _address(support)
        mail.set_content(text, cte="quoted-printable")
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = language  # now, since making parts moves such headers into the first of them
        shown: EmailMessage = mail.get_payload()[1]  # type: ignore[assignment,index]
        for step, picture in pictures.items():
            shown.add_related(
                picture.content,
                "image",
                "png",
                cid=f"<{picture.content_id}>",
                filename=f"{step}.png",
                disposition="inline",
            )
        return mail

    def _facts(self, notice: Notice, language: str, pictures: Mapping[str, str]) -> dict[str, Any]:
        letterhead, translations = self._letterhead, self._languages.translations(language)
        announced = letterhead.policy.announced(notice.account.rpartition("@")[2], notice.moment)
        facts: dict[str, Any] = {
            "kind": notice.kind,
            "language": language,
            "provider": letterhead.provider,
            "support": letterhead.support,
            "portal": letterhead.portal,
            "colour": letterhead.colour,
            "on_colour": readable_on(letterhead.colour),
            "cutover": self._languages.format_date(announced.moment, language, self._zone),
            "cutover_has_passed": announced.has_passed,
            "account": notice.account,
            "when": self._spoken(notice.moment, language),
            "origin": origins.origin_words(
                notice.service, notice.client, notice.agent, letterhead.provider, translations
            ),
            "by_administrator": notice.service == "administrator",
            "apps": APPS,
            "pictures": {step: pictures.get(step) for step in STEPS},
            "link": None,
            **notice.facts,
        }
        if "services" in facts:
            facts["services"] = origins.services_words(facts["services"], translations)
        if "name" in facts:
            facts["name"] = origins.device_words(facts["name"])
        if "names" in facts:
            facts["names"] = [origins.device_words(name) for name in facts["names"]]
        for moment in ("since", "until"):
            if moment in facts:
                facts[moment] = self._spoken(datetime.fromisoformat(facts[moment]), language)
        return facts

    def _spoken(self, moment: datetime, language: str) -> str:
        return self._languages.format_moment(moment, language, self._zone)

    def _render(self, kind: NoticeKind, language: str, facts: dict[str, Any], *, is_html: bool) -> tuple[str, str]:
        """Return subject and body."""
        environment = self._environment(language, is_html)
        layout = environment.get_template("html.j2" if is_html else "text.j2")
        module: Any = environment.get_template(f"{kind}.j2").make_module({**facts, "layout": layout})
        body = str(module)
        frame = environment.get_template("frame.html.j2" if is_html else "frame.text.j2")
        page = frame.render({**facts, "layout": layout, "subject": module.subject, "body": _safe(body, is_html)})
        return str(module.subject), page if is_html else _without_gaps(page)

    def _new_environment(self, language: str, is_html: bool) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=is_html,  # noqa: S701 - the text alternative is no HTML
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.filters["wrapped"] = _wrapped
        environment.filters["in_ascii"] = mail_address.in_ascii
        translations = self._languages.translations(language)
        environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
        return environment

    def _pictures_of(self, kind: NoticeKind, language: str) -> dict[str, _Picture]:
        if kind is not NoticeKind.ANNOUNCEMENT:
            return {}
        paths = {step: self._pictures / language / f"{step}.png" for step in STEPS}
        return {step: _Picture(step, path.read_bytes()) for step, path in paths.items() if path.is_file()}


def _address(address: str, name: str = "") -> Address:
    # Not by `addr_spec=`: what parses it takes no local part beyond ASCII. The address was checked when it was queued.
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _wrapped(words: str, indent: str = "") -> str:
    return textwrap.fill(
        str(words), _TEXT_COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _safe(body: str, is_html: bool) -> str:
    return Markup(body) if is_html else body  # noqa: S704 (an environment that escapes has made it)


def _without_gaps(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"

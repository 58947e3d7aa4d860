"""Pages and mails say nothing that cannot be translated: every word stands in a `trans` block or a `_()`."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

from tests.cases import case

MAILAUTH = Path(__file__).parents[2] / "mailauth"
TEMPLATES = sorted(
    path
    for folder in ("edges/portal/templates", "effects/mails/templates")
    for path in (MAILAUTH / folder).iterdir()
    if path.is_file()
)
SPOKEN_ATTRIBUTES = {"alt", "aria-description", "aria-label", "label", "placeholder", "title"}
SAME_EVERYWHERE = re.compile(r"\b(Google Authenticator|Microsoft Authenticator|Android|iPhone|correct horse)")
"""Names, and a password that pages show as an example."""
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


def test_template_says_nothing_that_cannot_be_translated() -> None:
    for path in TEMPLATES:
        with case(path):
            assert spoken_as_it_is(path) == []


def test_words_outside_of_translations_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<p title="Not said">Nor this {% trans %}but this{% endtrans %}</p>{{ _("and this") }}'
        "{% if x %}nor <b>that</b>{% endif %}{% macro m() %}or that{% endmacro %}<style>body {}</style>"
        '{% macro n() %}aria-label="or else" aria-hidden="true"{% endmacro %}<i>Android</i>'
    )
    assert spoken_as_it_is(page) == ["Not said", "Nor this", "nor", "that", "or that", "or else"]


def spoken_as_it_is(path: Path) -> list[str]:
    """Return the words of a template that come out in every language alike."""
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(path.read_text())
    spoken = Spoken()
    spoken.feed("".join(part.data for part in _own_text(tree)))
    spoken.close()
    return spoken.words


class Spoken(HTMLParser):
    """Collects the words that somebody sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("style", "script")
        self._hear_attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._hear(ATTRIBUTE.sub("", data))
            self._hear_attributes(ATTRIBUTE.findall(data))  # those that a macro adds to an element

    def _hear_attributes(self, attributes: Iterable[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in SPOKEN_ATTRIBUTES:
                self._hear(value or "")

    def _hear(self, text: str) -> None:
        if re.search(r"[^\W\d_]{2,}", SAME_EVERYWHERE.sub("", text)):
            self.words.append(" ".join(text.split()))


def _own_text(node: nodes.Node) -> Iterator[nodes.TemplateData]:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            yield child
        elif not isinstance(child, nodes.Call):  # gettext()
            yield from _own_text(child)

"""The pictures of the set-up that are shipped: nobody can scan a QR code from them, in any language."""

from __future__ import annotations

import subprocess
from pathlib import Path

import segno

from mailauth.effects.mails.writing import PICTURES, STEPS
from mailauth.vocabulary.languages import LANGUAGES
from tests.cases import case
from tests.portal.touring import uri_of

SHIPPED = [PICTURES / language / f"{step}.png" for language in LANGUAGES for step in STEPS]


def codes_in(picture: Path) -> list[str]:
    """Every code that zbar finds, of any kind."""
    done = subprocess.run(["zbarimg", "--quiet", "--raw", str(picture)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr  # zbarimg(1): 4 where there was none
    return done.stdout.splitlines()


def test_no_picture_that_is_shipped_has_a_code_that_can_be_scanned() -> None:
    """Who scanned it would believe to have set it up, with a key that belongs to nobody."""
    for picture in SHIPPED:
        with case(picture):
            assert codes_in(picture) == []


def test_there_is_no_picture_of_which_this_was_not_tested() -> None:
    assert sorted(PICTURES.rglob("*.png")) == sorted(SHIPPED)


def test_a_code_as_the_page_shows_it_would_have_been_found(tmp_path: Path) -> None:
    uri = uri_of("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "alice@example.org")
    picture = tmp_path / "scan.png"
    segno.make(uri, error="m").save(str(picture), scale=4)
    assert codes_in(picture) == [uri]

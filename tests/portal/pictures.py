"""`python -m tests.portal.pictures`: take the pictures of the set-up that the help page and the announcement show.

Needs pngquant (Debian's package) beside what `make dev` installs. Goes through the set-up on a phone's screen, once in
each language, on a sandbox of its own; keeps a picture of each step, small, in the package. Run it again whenever
those pages change; what it writes belongs into the same commit. Nothing in the pictures is real: the account, its
secret and its codes are gone with the sandbox. Nor is there anything in them that could be scanned from a mail, or
that is another provider's or another day's: see `VEIL`.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from mailauth.effects.mails.writing import PICTURES
from mailauth.vocabulary.languages import LANGUAGES
from tests.portal.browsing import Device, Visitor, chromium, shown_codes
from tests.portal.holding import Phone
from tests.portal.touring import uri_of
from tests.stack import sandboxes
from tests.stack.sandboxes import Sandbox

SCREEN = Device("phone", 360, 640, scale=1, is_phone=True)
MAX_BYTES = 25_000
"""All of a mail's pictures together should weigh no more than a small photograph."""
EDGE = 16
"""Pixels below the last thing that is shown."""
NAME, PASSWORD = "alice@example.org", "correct horse"

VEIL = """
for (const element of document.querySelectorAll("main time, main .names-provider, main .names-date")) {
  element.closest("p").style.display = "none";
}
for (const qr of document.querySelectorAll(".qr")) {
  qr.style.filter = "blur(1.5px)";
  qr.parentElement.style.position = "relative";
  const plate = qr.parentElement.appendChild(document.createElement("span"));
  plate.style.cssText =
    "position: absolute; inset: 27%; border-radius: 50%; border: 2px solid #1b2430; background: " +
    "linear-gradient(45deg, #ffffff 48.5%, #1b2430 48.5% 51.5%, #ffffff 51.5%)";
}
"""
"""Hides the sentences with a date or with the provider's name, blurs the QR code and covers its middle: more of it
than its redundancy makes up for (ISO/IEC 18004 s7.5.1: level M, 15 %)."""


def main() -> int:
    if shutil.which("pngquant") is None:
        raise SystemExit("pngquant is missing: apt-get install pngquant")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailauth-pictures-")))
        sandbox = stack.enter_context(sandboxes.running(directory / "sandbox"))
        browser = stack.enter_context(chromium(stack.enter_context(sync_playwright()), directory))
        for language in LANGUAGES:
            take(browser, sandbox, language, PICTURES / language)
    return 0


def take(browser: Browser, sandbox: Sandbox, language: str, folder: Path) -> None:
    """Take all pictures of one language."""
    folder.mkdir(parents=True, exist_ok=True)
    sandbox.command("account", "add", NAME, stdin=PASSWORD + "\n")
    visitor = Visitor.come(browser, sandbox.portal, device=SCREEN, language=language, script=False)

    def keep(step: str, first: str = "main", last: str = "main > :last-child") -> None:
        """Keep the page from the top of one element to the bottom of another."""
        path = folder / f"{step}.png"
        visitor.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        visitor.page.evaluate(VEIL)
        top, end = (visitor.page.locator(each).first.bounding_box() for each in (first, last))
        assert top is not None
        assert end is not None
        clip = {"x": 0, "y": top["y"], "width": SCREEN.width, "height": end["y"] + end["height"] + EDGE - top["y"]}
        visitor.page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")  # type: ignore[arg-type]
        shrink(path)

    visitor.open("/login")
    visitor.type(account=NAME, password=PASSWORD)
    keep("login")
    visitor.press()
    keep("setup", ".card")  # what stands above it depends on the date
    visitor.press()
    visitor.type(password=PASSWORD)
    keep("confirm")
    visitor.press()
    code = Phone(uri_of(visitor.shown_key(), NAME)).code()
    visitor.type(code=code)
    keep("scan", ".steps > li:nth-child(2)", ".steps button.primary")
    visitor.press()
    assert len(shown_codes(visitor.text)) == 10
    keep("done", "main", "#codes")
    visitor.leave()
    sandbox.command("account", "remove", NAME, "--yes")


def shrink(path: Path) -> None:
    """Keep as many colours as a page has use for."""
    subprocess.run(["pngquant", "--force", "--speed=1", "--strip", "--output", path, "24", path], check=True)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{path} has {size} bytes, more than {MAX_BYTES}")
    print(f"{path}: {size} bytes")


if __name__ == "__main__":
    sys.exit(main())

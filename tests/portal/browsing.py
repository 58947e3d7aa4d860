"""A person at a real browser: Chromium, driven by Playwright, on a desk or a phone, with or without JavaScript.

Holds no tests. Fields are found by what they are for (their autocomplete token or name), buttons by what they do, so
that one visitor gets along in every language. Whatever a page's script or policy complains about is an error.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, Response, expect

from tests.stack.sandboxes import REPOSITORY

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # It asks nobody outside.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--no-default-browser-check",
)
PICTURES = REPOSITORY / "build" / "portal-pictures"
PATIENCE_MS = 20_000
T = TypeVar("T")

# Fonts as a desktop has them, whatever else is installed. A page asks for `system-ui`, which without a desktop is
# whatever fontconfig gives to who names none.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <cachedir>{cache}</cachedir>
  <match target="font"><edit name="antialias" mode="assign"><bool>true</bool></edit></match>
  <match target="font"><edit name="hintstyle" mode="assign"><const>hintslight</const></edit></match>
  <alias binding="same"><family>Arial</family><prefer><family>Cantarell</family></prefer></alias>
  <match><edit name="family" mode="append_last"><string>Cantarell</string></edit></match>
  <alias binding="same"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""


@dataclass(frozen=True)
class Device:
    """What somebody looks at: a width and height in CSS pixels, and device pixels for each of them."""

    name: str
    width: int
    height: int
    scale: float = 1
    is_phone: bool = False


DESK = Device("desk", 1100, 800)
PHONE = Device("phone", 390, 844, scale=2, is_phone=True)
NARROW = Device("zoomed", 320, 640)
"""A desk's window of 1280 pixels at 400 % (WCAG 1.4.10)."""

LOCALES = {"en": "en-GB", "nl": "nl-BE", "fr": "fr-BE", "de": "de-BE"}


@contextmanager
def chromium(playwright: Playwright, folder: Path) -> Iterator[Browser]:
    """A browser with nothing in it yet."""
    fonts = folder / "fonts.conf"
    fonts.write_text(FONTS.format(cache=folder / "fonts"))
    environment: dict[str, str | float | bool] = {**os.environ, "FONTCONFIG_FILE": str(fonts)}
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), env=environment)
    try:
        yield browser
    finally:
        browser.close()


@dataclass
class Album:
    """Where the pictures of one walk are kept, numbered as they were taken."""

    folder: Path
    count: int = 0

    @classmethod
    def new(cls, name: str) -> Album:
        folder = PICTURES / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder)

    def next(self, step: str) -> Path:
        self.count += 1
        return self.folder / f"{self.count:02d}-{step}.png"


@dataclass
class Visitor:
    """Somebody with a browser of their own: cookies and all are gone with `leave`."""

    context: BrowserContext
    page: Page
    portal: str
    has_script: bool
    album: Album | None = None
    responses: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def come(
        cls,
        browser: Browser,
        portal: str,
        *,
        device: Device = DESK,
        language: str = "en",
        script: bool = True,
        dark: bool = False,
        album: Album | None = None,
    ) -> Visitor:
        context = browser.new_context(
            viewport={"width": device.width, "height": device.height},
            device_scale_factor=device.scale,
            is_mobile=device.is_phone,
            has_touch=device.is_phone,
            java_script_enabled=script,
            locale=LOCALES[language],
            timezone_id="America/Lima",  # neither UTC nor the provider's
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            accept_downloads=True,
        )
        context.set_default_timeout(PATIENCE_MS)
        visitor = cls(context, context.new_page(), portal, script, album)
        visitor.listen(visitor.page)
        return visitor

    def listen(self, page: Page) -> None:
        page.on("response", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", self._hear)

    def _note(self, response: Response) -> None:
        self.responses.append(response)

    def _hear(self, message: ConsoleMessage) -> None:
        # A refused form is an answer with an error status, of which the console says no more than that.
        if message.type in ("error", "warning") and "the server responded with a status" not in message.text:
            self.complaints.append(f"{self.page.url}: {message.text}")

    def leave(self) -> None:
        """Close the browser's windows. Raises AssertionError for what a page complained about meanwhile."""
        self.context.close()
        assert not self.complaints, self.complaints

    # ---- looking

    def open(self, path: str) -> Response:
        """Go to a path of the portal, or to a whole address."""
        answer = self.page.goto(path if "://" in path else self.portal + path)
        assert answer is not None
        return answer

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.portal).partition("?")[0].partition("#")[0]

    def is_at(self, path: str) -> None:
        assert self.path == path, f"at {self.path}, not {path}: {self.text[:2000]}"

    @property
    def text(self) -> str:
        return self.page.locator("body").inner_text()

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    def shown_key(self) -> str:
        """The key that is to be typed where the QR code cannot be scanned; folded away until somebody asks for it."""
        return re.sub(r"\s", "", self.page.locator("#key").text_content() or "")

    def unfold(self) -> None:
        """Open what the page keeps folded away."""
        folded = self.main.locator("details:not([open]) > summary")
        while folded.count():
            folded.first.click()

    @property
    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def picture(self, step: str) -> Path | None:
        """Keep how the whole page looks now, where there is an album."""
        if self.album is None:
            return None
        path = self.album.next(step)
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    # ---- doing

    def field(self, name: str) -> Locator:
        return self.main.locator(f'input[name="{name}"]:not([type="hidden"])').first

    def type(self, **values: str) -> None:
        """Type into fields, by their names."""
        for name, value in values.items():
            self.field(name).fill(value)

    def press(self, action: str | None = None) -> None:
        """Press the page's primary button, or the button of the form that goes to `action`; wait for what comes."""
        with self.page.expect_navigation(wait_until="load"):
            self.button(action).click()

    def button(self, action: str | None = None) -> Locator:
        if action is None:
            return self.main.locator(PRIMARY).first
        return self.main.locator(f'form[action="{action}"] button').first

    def follow(self, path: str) -> None:
        """Follow a link of the page to a path of the portal."""
        with self.page.expect_navigation(wait_until="load"):
            self.page.locator(f'a[href="{path}"]').first.click()

    def log_in(self, account: str, password: str, code: str = "") -> None:
        self.open("/login")
        self.type(account=account, password=password, code=code)
        self.press()

    def cookie(self) -> str:
        """The value of the session's cookie."""
        found = [each for each in self.context.cookies() if each["name"] == "__Host-mailauth"]
        assert len(found) == 1, found
        return found[0]["value"]


PRIMARY = "button.primary, a.primary"

expect.set_options(timeout=PATIENCE_MS)

_elsewhere = ThreadPoolExecutor(1)


def elsewhere(function: Callable[..., T], *arguments: object) -> T:
    """Call what has an event loop of its own: in this thread runs Playwright's."""
    return _elsewhere.submit(function, *arguments).result()


def shown_codes(text: str) -> list[str]:
    """Every recovery code in a text."""
    return re.findall(r"(?<![\w-])(?:[a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}(?![\w-])", text)

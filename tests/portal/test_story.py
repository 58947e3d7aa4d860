"""The user's whole story, from the announcement to the first mail app, as a person lives it, with pictures.

Nothing is staged: the link comes out of a mail that a real Postfix delivered, the QR code is read off the screen by
zbar, codes are oathtool's, and IMAP and SMTP are asked by real clients. The pictures are kept in
build/portal-pictures/ for people to look at.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.portal.browsing import DESK, PHONE, Album, Device, Visitor, elsewhere, shown_codes
from tests.portal.conftest import Come
from tests.portal.holding import Mailbox, Phone, scan, text_of
from tests.stack import clients
from tests.stack.people import until
from tests.stack.sandboxes import Account, Sandbox

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Way:
    """How somebody goes through it."""

    device: Device
    language: str
    script: bool

    def __str__(self) -> str:
        return f"{self.device.name}-{self.language}-{'script' if self.script else 'plain'}"


FULL = (Way(DESK, "en", script=True), Way(PHONE, "nl", script=False))
SHORT = (Way(PHONE, "fr", script=True), Way(DESK, "de", script=False))
"""Each language, and each device with and without script, once."""


class Story:
    """One person, their browser, their phone and their mail app."""

    def __init__(self, sandbox: Sandbox, come: Come, way: Way) -> None:
        self.sandbox = sandbox
        self.account: Account = sandbox.account(PASSWORD)
        self.mailbox = Mailbox(sandbox, self.account.name)
        self.me: Visitor = come(
            device=way.device, language=way.language, script=way.script, album=Album.new(f"story-{way}")
        )

    def picture(self, step: str) -> Path:
        found = self.me.picture(step)
        assert found is not None
        return found

    def imap(self, secret: str, source: str = clients.HOME) -> clients.Login:
        return elsewhere(clients.imap, self.sandbox.imap, self.account.name, secret, source)

    def smtp(self, secret: str) -> clients.Login:
        return clients.swaks(self.sandbox.postfix_submission, self.account.name, secret)

    def announcement(self) -> str:
        """The link of the announcement that came by mail."""
        self.sandbox.command("campaign", "announce")
        mail = self.mailbox.wait_for_text(re.escape(self.sandbox.portal))
        link = re.search(re.escape(self.sandbox.portal) + r"[^\s<>\"]*", text_of(mail))
        assert link is not None
        return link.group()

    def set_up(self) -> None:
        """From the link to the success screen."""
        me = self.me
        me.open(self.announcement())
        me.is_at("/login")
        self.picture("login")
        me.type(account=self.account.name, password=PASSWORD)
        me.press()
        me.is_at("/setup")
        self.picture("required")
        me.press()
        me.is_at("/setup/confirm")
        self.picture("password")
        me.type(password=PASSWORD)
        me.press()
        me.is_at("/setup/scan")
        self.phone = Phone(scan(self.picture("scan")))
        assert self.phone.title == f"Mail-IT-Wize:{self.account.name}"
        me.unfold()
        assert me.shown_key() == self.phone.secret
        self.picture("scan-unfolded")
        me.type(code=self.phone.wrong_code())
        me.press()
        assert Phone(scan(self.picture("wrong-code"))).uri == self.phone.uri, "a mistake made a new QR code"
        me.type(code=self.phone.code())
        me.press()
        self.codes = shown_codes(me.text)
        assert len(self.codes) == 10
        self.picture("recovery-codes")
        me.type(code=self.codes[9])
        me.press()
        me.is_at("/setup/done")
        self.picture("done")

    def recovery_mail(self) -> None:
        """The codes have come by mail as well."""
        mail = self.mailbox.wait(lambda each: shown_codes(text_of(each)), "recovery codes")
        assert shown_codes(text_of(mail)) == self.codes
        self.mailed = shown_codes(text_of(mail))

    def mail_app(self) -> None:
        """IMAP takes password + code, and a recovery code once."""
        assert self.imap(PASSWORD + self.phone.code())
        assert not self.imap(PASSWORD), "the password alone is not enough"
        assert self.imap(PASSWORD + self.mailed[0])
        assert not self.imap(PASSWORD + self.mailed[0], clients.ELSEWHERE), "a recovery code was taken twice"

    def app_password(self) -> None:
        """One for IMAP alone; it works there, and nowhere else."""
        me = self.me
        me.open("/account")
        self.picture("account")
        me.open("/account/app-passwords/new")
        me.type(name="Laptop", password=PASSWORD, code=self.phone.code())
        me.main.locator('input[name="services"][value="smtp"]').uncheck()
        self.picture("new-app-password")
        me.press()
        shown = re.search(r"(?<![\w-])(?:[a-km-np-z2-9]{4}[- ]){5}[a-km-np-z2-9]{4}(?![\w-])", me.text)
        assert shown is not None, me.text
        self.picture("app-password")
        secret = shown.group()
        assert self.imap(secret)
        assert not self.smtp(secret), "it was made for IMAP alone"
        self.see_it_used()
        self.revoke(secret)

    def see_it_used(self) -> None:
        """The page, or the list for who has no script, says that it has logged in."""
        me = self.me
        if me.has_script:
            until(lambda: me.page.locator("[data-seen]").count() or "127.0.0" in me.main.inner_text(), "it is seen")
        self.picture("seen")

    def revoke(self, secret: str) -> None:
        """Revoked, it is out within a second."""
        me = self.me
        me.open("/account/app-passwords")
        self.picture("app-passwords")
        me.page.locator('a[href$="/revoke"]').first.click()
        assert "Laptop" in me.text
        me.type(password=PASSWORD, code=self.mailed[1])
        self.picture("revoke")
        me.press()
        revoked_at = time.monotonic()
        me.is_at("/account/app-passwords")
        until(lambda: not self.imap(secret), "it is out", patience_s=1.0)
        assert time.monotonic() - revoked_at < 1.5
        self.picture("revoked")


@pytest.fixture
def story(sandbox: Sandbox, come: Come, request: pytest.FixtureRequest) -> Story:
    return Story(sandbox, come, request.param)


@pytest.mark.parametrize("story", FULL, ids=str, indirect=True)
def test_somebody_gets_through_it_alone(story: Story) -> None:
    story.set_up()
    story.recovery_mail()
    story.mail_app()
    story.app_password()


@pytest.mark.parametrize("story", SHORT, ids=str, indirect=True)
def test_the_set_up_is_the_same_for_everybody(story: Story) -> None:
    story.set_up()
    story.recovery_mail()
    assert story.imap(PASSWORD + story.phone.code())

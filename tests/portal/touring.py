"""A walk past every page that the portal can show, those that only an answer to a form shows among them.

Holds no tests. `tour` gives the name of each page while a visitor stands on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.portal.browsing import Visitor, shown_codes
from tests.portal.holding import Mailbox, Phone, text_of
from tests.stack.sandboxes import Account, Sandbox

PUBLIC = ("/login", "/help", "/help/lost-phone", "/nothing-is-here")
OF_WHO_IS_ENROLLED = (
    "/account",
    "/account/authenticator",
    "/account/recovery-codes",
    "/account/app-passwords",
    "/account/app-passwords/new",
    "/account/logins",
    "/account/sessions",
    "/account/address",
    "/setup/done",
)
APP_PASSWORD = re.compile(r"(?<![\w-])(?:[a-km-np-z2-9]{4}[- ]){5}[a-km-np-z2-9]{4}(?![\w-])")


def uri_of(secret: str, name: str) -> str:
    return f"otpauth://totp/Mail-IT-Wize:{name}?secret={secret}&issuer=Mail-IT-Wize"


class Tour:
    """Takes a visitor to every page. What is secret on the way is noted."""

    def __init__(self, visitor: Visitor, sandbox: Sandbox) -> None:
        self.visitor = visitor
        self.sandbox = sandbox
        self.account: Account = sandbox.account("canary-password of the tour")
        self.mailbox = Mailbox(sandbox, self.account.name)
        self.elsewhere = f"elsewhere-{self.account.name.partition('@')[0]}@example.org"
        self.secrets: set[str] = {self.account.password}

    def pages(self) -> Iterator[str]:
        """The name of each page, while the visitor is on it."""
        yield from self._before_login()
        yield from self._set_up()
        yield from self._account()
        yield from self._links()

    def _before_login(self) -> Iterator[str]:
        me = self.visitor
        for path in PUBLIC:
            me.open(path)
            yield path
        me.log_in(self.account.name, "not the password")
        yield "login refused"
        me.open("/login")
        me.type(account="")
        me.press()
        yield "login empty"
        me.open("/link/" + "x" * 43)
        yield "link that is no more"

    def _set_up(self) -> Iterator[str]:
        me = self.visitor
        me.log_in(self.account.name, self.account.password)
        me.is_at("/setup")
        yield "set-up required"
        me.press()
        yield "set-up password"
        me.type(password="wrong")
        me.press()
        yield "set-up password refused"
        me.type(password=self.account.password)
        me.press()
        me.is_at("/setup/scan")
        self.phone = Phone(uri_of(_key(me), self.account.name))
        self.secrets.add(self.phone.secret)
        yield "set-up scan"
        for name, code in (("wrong", self.phone.wrong_code()), ("short", "123"), ("letters", "12345x")):
            me.type(code=code)
            me.press()
            yield f"set-up code {name}"
        code = self.phone.code()
        self.secrets.add(code)
        me.type(code=code)
        me.press()
        codes = shown_codes(me.text)
        assert len(codes) == 10
        self.secrets.update(codes)
        yield "set-up recovery codes"
        me.type(code="abcd-efgh-jkmn-pqrs")
        me.press()
        yield "set-up recovery code refused"
        me.type(code=codes[0])
        me.press()
        me.is_at("/setup/done")
        yield "set-up done"
        self.codes = codes[1:]

    def _account(self) -> Iterator[str]:
        me = self.visitor
        for path in OF_WHO_IS_ENROLLED:
            me.open(path)
            yield path
        me.open("/account/app-passwords/new")
        me.type(name="")
        me.press()
        yield "app password refused"
        self._prove(name="Phone of the tour")
        found = APP_PASSWORD.search(me.text)
        assert found is not None, me.text
        self.secrets.update({found.group(), found.group().replace("-", "").replace(" ", "")})
        yield "app password made"
        me.open("/account/app-passwords")
        yield "app passwords with one"
        waiting = me.page.locator('a[href$="/revoke"]').first.get_attribute("href")
        assert waiting is not None
        me.open(waiting.removesuffix("/revoke") + "/waiting")
        yield "app password waiting"
        me.open(waiting)
        yield "app password revoke"
        me.open("/account/app-passwords/revoke-all")
        yield "app passwords revoke all"
        me.open("/account/address")
        me.type(address="nothing like an address")
        me.press()
        yield "address refused"
        me.open("/account/authenticator")
        self._prove()
        me.is_at("/setup/scan")
        self.secrets.add(_key(me))
        yield "authenticator replaced: scan"
        me.open("/account/recovery-codes")
        self._prove()
        self.secrets.update(shown_codes(me.text))
        self.codes = shown_codes(me.text)
        yield "recovery codes, new set"

    def _links(self) -> Iterator[str]:
        me = self.visitor
        me.open("/account/address")
        self._prove(address=self.elsewhere)
        yield "address asked for"
        elsewhere = Mailbox(self.sandbox, self.elsewhere)
        # Each change mails a new link that undoes the set-up, and voids the one before: the last comes with new codes.
        undoing = self.mailbox.wait(lambda mail: self.codes[0] in text_of(mail), "the new set of codes")
        for name, mail in (("confirm address", elsewhere.wait_for_text("/link/")), ("undo", undoing)):
            link = re.search(r"/link/[\w-]+", text_of(mail))
            assert link is not None
            self.secrets.add(link.group().removeprefix("/link/"))
            me.open(link.group())
            yield f"link: {name}"
            me.press()
            yield f"link: {name}, done"

    def _prove(self, **more: str) -> None:
        """Fill in and send a form that asks for the password again, and for a code where none was given just now."""
        self.visitor.type(password=self.account.password, **more)
        if self.visitor.main.locator("input[name=code]").count():
            self.visitor.type(code=self.codes.pop())
        self.visitor.press()


def _key(visitor: Visitor) -> str:
    visitor.unfold()
    return visitor.shown_key()

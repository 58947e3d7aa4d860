"""A web mail host: at each click it logs in again, with what was typed once.

Minutes pass for the login memory alone: what it holds is made older in the database, between two logins that are
real. Says nothing about where the host's door leads.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import text

from tests.stack.clients import HOME, TIMEOUT_S, Address, Login
from tests.stack.doors import IN, Door
from tests.stack.people import Owner, Site
from tests.stack.sandboxes import Sandbox
from tests.transactions import writing

HOST = "127.0.9.9"
LIFE_S, IDLE_S = 36_000, 1_800
SETTINGS = (
    "--set",
    f'login_memory.profile=[{{networks=["127.0.9.0/24"], life_s={LIFE_S}, idle_s={IDLE_S}}}]',
)
"""Options of `deploy/sandbox up` that tell mailauth of the host's network."""
CLICKS = 70
OVER_S = 120
SMTP_AUTHENTICATED = 235


def check_a_day(site: Site, door: Door) -> None:
    """Click through mail for two minutes, then now and then until the evening: on one typed secret, and no longer."""
    owner = site.enrolled()
    typed = owner.typed()
    clicks = [round(OVER_S * click / (CLICKS - 1)) for click in range(CLICKS)]
    now_and_then = list(range(OVER_S + IDLE_S - 60, LIFE_S, IDLE_S - 60))
    clock_s = 0
    for moment in clicks + now_and_then:
        _pass(site, owner, moment - clock_s)
        clock_s = moment
        assert door.login(site, owner.name, typed, HOST) == IN, f"after {moment} s:\n{site.log_of(owner.name)}"
        if moment == OVER_S:
            assert door.login(site, owner.name, typed, HOME) == door.refusal(), "from another network"
    _pass(site, owner, LIFE_S - clock_s)
    assert door.login(site, owner.name, typed, HOST) == door.refusal(), "when its life is over"


def check_a_break(site: Site, door: Door) -> None:
    """Come back too late."""
    owner = site.enrolled()
    typed = owner.typed()
    assert door.login(site, owner.name, typed, HOST) == IN
    _pass(site, owner, IDLE_S + 1)
    assert door.login(site, owner.name, typed, HOST) == door.refusal()


def over_smtp(door: Door, address_of: Callable[[Sandbox], Address]) -> Door:
    """Return a door with a client that is no process of its own, for there are many logins."""

    def client(sandbox: Sandbox, name: str, secret: str, source: str) -> Login:
        with smtplib.SMTP(*address_of(sandbox), timeout=TIMEOUT_S, source_address=(source, 0)) as session:
            try:
                code, words = session.login(name, secret)
            except smtplib.SMTPAuthenticationError as error:
                code, words = error.smtp_code, error.smtp_error  # type: ignore[assignment]
        return Login(code == SMTP_AUTHENTICATED, f"{code} {words.decode()}")

    return replace(door, client=client)


def _pass(site: Site, owner: Owner, seconds: int) -> None:
    """Make what is remembered of an account older."""
    older = text(
        "UPDATE login_memory SET created_at = created_at - :seconds, expires_at = expires_at - :seconds, "
        "last_used_at = last_used_at - :seconds WHERE account_id = (SELECT id FROM account WHERE name = :name)"
    )
    with writing(site.installation.database) as connection:
        connection.execute(older, {"seconds": seconds, "name": owner.name})

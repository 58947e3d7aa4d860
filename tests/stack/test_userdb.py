"""A userdb that lists its users, by full or by short names: logins end in their mailbox, and mail arrives there.

The userdb is a site's own; the heads of the shipped files give the lines for it (DOOR3).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stack import clients
from tests.stack.delivery import BOUNCED, DELIVERED, deliver
from tests.stack.sandboxes import REPOSITORY, Sandbox
from tests.stack.ways import other_release

MAIL = 8  # Debian's user and group `mail`
LINES = {"2.3": "args = username_format=%n", "2.4": "auth_username_format = %{user | username}"}


def serves_who_is_listed(sandbox: Sandbox, *, by_full_name: bool) -> None:
    """Log in and be mailed as somebody who is in the list, and be mailed as somebody who is not."""
    owner, unlisted = sandbox.account(enrolled=True), sandbox.account()
    facts = json.loads((sandbox.dir / "sandbox.json").read_text())
    home = f"{facts['ground']}/var/mail/listed".removeprefix(facts["root"] or "")
    name = owner.name if by_full_name else owner.name.partition("@")[0]
    Path(facts["users_file"]).write_text(f"{name}::{MAIL}:{MAIL}::{home}::\n")
    assert deliver(sandbox, owner.name, "to who is listed").startswith(DELIVERED)
    assert deliver(sandbox, unlisted.name).startswith(BOUNCED)
    login, messages = asyncio.run(clients.imap_read(sandbox.imap, owner.name, owner.typed()))
    assert login, login.words
    assert [b"Subject: to who is listed" in message for message in messages] == [True]


def test_a_userdb_by_short_names_takes_logins_and_mail_with_the_lines_that_are_shipped(
    make_sandbox: Callable[..., Sandbox],
) -> None:
    here = ("--userdb", "short")
    elsewhere = (*here, "--dovecot", "lua", "--root", str(other_release()))
    made = [make_sandbox(*options) for options in (here, elsewhere)]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda sandbox: serves_who_is_listed(sandbox, by_full_name=False), made))


def test_a_userdb_by_full_names_does_so_as_it_is(make_sandbox: Callable[..., Sandbox]) -> None:
    serves_who_is_listed(make_sandbox("--userdb", "passwd-file"), by_full_name=True)


@pytest.mark.parametrize("series", LINES)
def test_the_heads_give_the_lines_that_the_sandbox_uses(series: str) -> None:
    used = (REPOSITORY / "deploy/sandbox_lib/userdb.py").read_text().replace("{{", "{").replace("}}", "}")
    assert LINES[series] in used
    for path in (REPOSITORY / "deploy" / f"dovecot-{series}").glob("mailauth-*.conf"):
        assert f"#               {LINES[series]}" in path.read_text(), path

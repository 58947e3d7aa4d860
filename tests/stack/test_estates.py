"""People of another system, over the real doors: let in with their old passwords, moved to a second factor, gone.

One story for each kind of estate that the sandbox has, from the day on which mailauth is put in front of it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.secret import Secret
from tests.estates.servers import wait_for
from tests.stack import clients
from tests.stack.delivery import BOUNCED, DELIVERED, WAITS, deliver
from tests.stack.sandboxes import Account, Sandbox, doors, run
from tests.stack.ways import other_release

ANNA, BERT, CARL = (f"{name}@hoster.example" for name in ("anna", "bert", "carl"))
BEFORE, AFTER = "cutover.date=2099-01-01T00:00Z", "cutover.date=2025-05-05T00:00Z"
WAYS = {
    "postfixadmin": ("--dovecot", "lua"),
    "ldap": (),
    "passwd-file": ("--dovecot", "lua", "--root"),
}


def facts(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sandbox.dir / "sandbox.json").read_text())
    return found


def password(sandbox: Sandbox, name: str) -> str:
    return str(facts(sandbox)["estate"]["people"][name])


def imap(sandbox: Sandbox, name: str, secret: str, source: str = clients.HOME) -> clients.Login:
    return asyncio.run(clients.imap_login(sandbox.imap, name, secret, source))


def leave(sandbox: Sandbox, name: str) -> None:
    """Take somebody out of the estate, as the system that keeps it does."""
    about = facts(sandbox)
    place = Path(about["estate"].get("place", ""))
    match about["estate"]["kind"]:
        case "postfixadmin":
            with sqlite3.connect(place) as tables:
                tables.execute("DELETE FROM mailbox WHERE username = ?", (name,))
            tables.close()
        case "passwd-file":
            lines = [line for line in place.read_text().splitlines() if not line.startswith(f"{name}:")]
            place.write_text("".join(f"{line}\n" for line in lines))
        case _:
            import ldap

            connection = ldap.initialize(f"ldap://127.0.0.1:{about['ldap'][1]}")
            connection.simple_bind_s(about["estate"]["admin"], about["estate"]["admin_password"])
            connection.delete_s(f"uid={name.partition('@')[0]},ou=people,{about['estate']['base']}")
            connection.unbind_s()


@pytest.mark.parametrize("kind", WAYS)
def test_an_estate_is_taken_over_without_a_password_typed_anew(
    make_sandbox: Callable[..., Sandbox], kind: str
) -> None:
    ways = WAYS[kind]
    root = (str(other_release()),) if ways[-1:] == ("--root",) else ()
    sandbox = make_sandbox("--estate", kind, *ways, *root, "--set", BEFORE)
    # The first day: nobody notices, neither who logs in nor who is written to.
    assert deliver(sandbox, ANNA, "before the first login").startswith(DELIVERED)
    assert deliver(sandbox, "nobody@hoster.example").startswith(BOUNCED)
    login, messages = asyncio.run(clients.imap_read(sandbox.imap, ANNA, password(sandbox, ANNA)))
    assert login, login.words
    assert [b"before the first login" in message for message in messages] == [True]
    assert clients.smtp_curl(sandbox.postfix_submission, BERT, password(sandbox, BERT)), "Postfix asks as well"
    assert not imap(sandbox, CARL, "a guess")
    assert not imap(sandbox, "nobody@hoster.example", "a guess")
    # The directory, and what a phone gets.
    sandbox.command("directory", "sync")  # as the worker has done by now
    assert CARL in sandbox.command("account", "list", "--source", "estate"), "who has not logged in yet"
    enrolled = Account(sandbox, ANNA, password(sandbox, ANNA))
    enrolled.enrol()
    phone = sandbox.installation.app_passwords.make(AccountName(BERT), "phone").password
    assert imap(sandbox, ANNA, enrolled.typed())
    assert not imap(sandbox, ANNA, enrolled.password, clients.ELSEWHERE)
    # The date.
    sandbox.set(AFTER)
    refused = imap(sandbox, CARL, password(sandbox, CARL))
    assert not refused
    assert "app password" in refused.words
    assert imap(sandbox, BERT, phone)
    # Who leaves is out, app passwords and mail included, with the next look at the directory.
    leave(sandbox, BERT)
    assert "1 disabled, not listed any more" in sandbox.command("directory", "sync")
    wait_for(lambda: not imap(sandbox, BERT, phone), lambda: "the phone goes on logging in")  # within a second
    assert deliver(sandbox, BERT).startswith(BOUNCED)
    if kind != "ldap":
        return
    # A directory that is away: mail and logins wait; a phone does not.
    phone = sandbox.installation.app_passwords.make(AccountName(ANNA), "phone").password
    sandbox.stop("slapd")
    assert "UNAVAILABLE" in imap(sandbox, ANNA, enrolled.typed()).words.upper()
    assert imap(sandbox, ANNA, phone)
    assert deliver(sandbox, "newcomer@hoster.example").startswith(WAITS)
    sandbox.start("slapd")
    assert imap(sandbox, ANNA, enrolled.typed(), clients.ELSEWHERE)


@pytest.mark.parametrize("way", [*(f"{door} here" for door in doors()), "lua elsewhere"])
def test_fields_of_a_source_reach_dovecot(make_sandbox: Callable[..., Sandbox], way: str) -> None:
    """By look-ups and by logins, whatever the credential; Dovecot shows them where a mailbox is opened."""
    door, _, place_of_it = way.partition(" ")
    root = ("--root", str(other_release())) if place_of_it == "elsewhere" else ()
    sandbox = make_sandbox("--estate", "passwd-file", "--dovecot", door, *root, "--set", BEFORE)
    place = Path(facts(sandbox)["estate"]["place"])
    secret = password(sandbox, ANNA)
    home = f"{facts(sandbox)['ground']}/var/mail/elsewhere".removeprefix(facts(sandbox)["root"] or "")
    mail = f"userdb_mail=maildir:{home}/Maildir userdb_mail_driver=maildir userdb_mail_path={home}/Maildir"
    place.write_text(place.read_text().replace("\n", f"::::::{mail}\n", 1))
    names = '["userdb_mail", "userdb_mail_driver", "userdb_mail_path"]'
    sandbox.set(f'sources=[{{name = "estate", kind = "passwd-file", file = "{place}", fields = {names}}}]')
    sandbox.command("directory", "sync")
    assert deliver(sandbox, ANNA, "by a look-up").startswith(DELIVERED)
    outside = Path(facts(sandbox)["root"] or "/") / home.lstrip("/")
    assert len(list(outside.glob("Maildir/new/*"))) == 1, "where the source says that the mail lies"
    phone = None
    for _ in range(2):
        login, messages = asyncio.run(clients.imap_read(sandbox.imap, ANNA, phone or secret))
        assert login, login.words
        assert [b"by a look-up" in message for message in messages] == [True]
        phone = sandbox.installation.app_passwords.make(AccountName(ANNA), "phone").password


@pytest.mark.parametrize("is_other_release", [False, True])
def test_scripts_of_dovecot_get_the_bare_password_where_that_is_wanted(
    make_sandbox: Callable[..., Sandbox], is_other_release: bool
) -> None:
    root = ("--root", str(other_release())) if is_other_release else ()
    sandbox = make_sandbox("--dovecot", "lua", *root)
    sockets = tomllib.loads(sandbox.config.read_text())["server"]["socket"]
    for each in sockets:
        each["forward_password"] = each.get("fields", False)
    written = ", ".join(
        "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in each.items()) + "}" for each in sockets
    )
    sandbox.set(f"server.socket=[{written}]")
    owner = sandbox.account(enrolled=True)
    typed = owner.typed()
    words = [str(sandbox.doveadm), "auth", "login", "-x", "service=imap", "-x", "protocol=imap", owner.name, typed]
    said = run(words)
    assert f"plain_pass={owner.password}\n" in said or f"plain_pass={owner.password} " in f"{said} ", said
    assert typed not in said


@pytest.mark.parametrize("is_other_release", [False, True])
def test_dovecot_hands_on_to_a_back_end_by_a_password_of_its_own(
    make_sandbox: Callable[..., Sandbox], is_other_release: bool
) -> None:
    """Two Dovecots: the back end never sees what the client typed, in which a code is spent."""
    behind = make_sandbox("--set", BEFORE)
    behind.installation.accounts.add(ANNA, Secret(b"known-to-the-front-end"))
    behind.save_message(ANNA, "Subject: at the back end\r\n\r\nhello\r\n")
    root = ("--root", str(other_release())) if is_other_release else ()
    front = make_sandbox("--estate", "passwd-file", "--dovecot", "lua", *root, "--set", BEFORE)
    place = Path(facts(front)["estate"]["place"])
    host, port = behind.imap
    to = f"proxy=y host={host} port={port} pass=known-to-the-front-end"
    place.write_text(place.read_text().replace("\n", f"::::::{to}\n", 1))
    names = '["proxy", "host", "port", "pass"]'
    front.set(f'sources=[{{name = "estate", kind = "passwd-file", file = "{place}", fields = {names}}}]')
    front.command("directory", "sync")
    assert imap(front, ANNA, password(front, ANNA))
    enrolled = Account(front, ANNA, password(front, ANNA))
    enrolled.enrol()
    phone = front.installation.app_passwords.make(AccountName(ANNA), "phone").password
    for secret in (enrolled.typed(), phone):
        login, messages = asyncio.run(clients.imap_read(front.imap, ANNA, secret))
        assert login, login.words
        assert [b"at the back end" in message for message in messages] == [True]
    assert not imap(front, ANNA, "a guess")
    assert "denied" not in behind.log_files["mailauth"].read_text()


def test_another_imap_server_is_asked_by_a_login_there(make_sandbox: Callable[..., Sandbox]) -> None:
    there = make_sandbox("--tls", "--set", BEFORE)
    people = [there.account(f'password {n} \u00e4 "quoted" \\') for n in range(2)]
    assert there.imaps is not None
    host, port = there.imaps
    source = f'name = "there", kind = "imap", host = "localhost", port = {port}, ca_file = "{there.ca}"'
    here = make_sandbox("--set", f"sources=[{{{source}}}]", "--set", BEFORE)
    assert host == clients.HOME
    for person in people:
        assert not imap(here, person.name, "wrong")
        assert imap(here, person.name, person.password)
    assert not imap(here, "nobody@mailitwize.be", people[0].password)
    assert {each.name for each in here.installation.accounts.all()} == {person.name for person in people}
    there.stop("dovecot")
    waits = imap(here, people[0].name, people[0].password, clients.ELSEWHERE)
    assert "UNAVAILABLE" in waits.words.upper(), waits.words
    there.start("dovecot")
    wait_for(
        lambda: bool(imap(here, people[0].name, people[0].password, clients.ELSEWHERE)), lambda: "it is not asked"
    )

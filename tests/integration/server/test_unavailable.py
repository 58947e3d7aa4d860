"""Unavailable: our own clients are told, everybody else's connection ends, and nobody gets in (LIM5, F3)."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.serving import Server, Site, secret_of
from tests.integration.talking import Closed, auth, granted


@pytest.fixture
def away(site: Site, server: Server) -> Iterator[None]:
    """Take the database away for a while."""
    elsewhere = site.database.with_suffix(".away")
    site.database.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(site.database)


@contextmanager
def full_disk(site: Site, server: Server) -> Iterator[None]:
    """Let the server's files grow no more: what a full disk is to SQLite."""
    with sqlite3.connect(site.database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


def test_foreign_client_is_hung_up_on(site: Site, server: Server, away: None) -> None:
    with site.talk() as talk, pytest.raises(Closed) as closed:
        talk.login("alice", "correct horse")
    assert closed.value.rest == b""


def test_our_own_client_is_told_and_keeps_its_connection(site: Site, server: Server, away: None) -> None:
    with site.talk() as talk:
        for number in (1, 2):
            reply = talk.login("alice", "correct horse", number, ours=True)
            assert reply == b"FAIL\t%d\tuser=alice\tcode=temp_fail" % number


def test_malformed_names_and_secrets_are_denied_even_then(site: Site, server: Server, away: None) -> None:
    with site.talk() as talk:
        assert not granted(talk.login("a b", "x"))
        assert not granted(talk.login("alice", ""))


def test_server_recovers_by_itself_when_the_database_is_back(site: Site, server: Server) -> None:
    alice = site.person()
    elsewhere = site.database.with_suffix(".away")
    site.database.rename(elsewhere)
    with site.talk() as talk:
        assert b"code=temp_fail" in talk.login(alice.name, secret_of(alice), ours=True)
        elsewhere.rename(site.database)
        assert granted(talk.login(alice.name, secret_of(alice), ours=True))


def test_full_disk_grants_nothing_and_is_survived(site: Site, server: Server) -> None:
    alice = site.person()
    codes = site.installation.recovery_codes.issue(alice.name)[1]
    token = site.installation.app_passwords.make(alice.name, "phone").password
    with site.talk() as talk:
        with full_disk(site, server):
            for secret in (secret_of(alice), alice.password + codes[0], alice.password):
                assert b"code=temp_fail" in talk.login(alice.name, secret, ours=True)
            assert granted(talk.login(alice.name, token, ours=True)), "reading needs no room"
        assert granted(talk.login(alice.name, secret_of(alice), ours=True))
        assert granted(talk.login(alice.name, alice.password + codes[0], ours=True))
        assert not granted(talk.login(alice.name, alice.password + codes[0], ours=True))


def test_locked_database_delays_and_then_refuses_for_now(site: Site, server: Server) -> None:
    alice = site.person()
    holder = sqlite3.connect(site.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with site.talk() as talk:
        assert b"code=temp_fail" in talk.login(alice.name, secret_of(alice), ours=True)
        holder.execute("ROLLBACK")
        holder.close()
        assert granted(talk.login(alice.name, secret_of(alice), ours=True))


def test_app_password_is_quick_while_password_logins_wait_for_a_lock(site: Site, server: Server) -> None:
    alice, others = site.person(), [site.person() for _ in range(12)]
    token = site.installation.app_passwords.make(alice.name, "phone").password
    holder = sqlite3.connect(site.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = [site.talk() for _ in others]
    try:
        for talk, person in zip(waiting, others, strict=True):
            talk.send(b"".join(auth(number, person.name, secret_of(person), ours=True) for number in range(3)))
        with site.talk() as talk:
            talk.socket.settimeout(1.5)
            assert granted(talk.login(alice.name, token))
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        for talk in waiting:
            talk.close()


def test_requests_under_way_are_answered_before_the_connection_ends(site: Site, server: Server) -> None:
    """One request cannot be decided; the codes of the others may be spent already, so their answers count."""
    alice, bob = site.person(), site.person()
    with sqlite3.connect(site.database) as connection:
        connection.execute("UPDATE account SET password_hash = '{MD5}x' WHERE name = ?", (bob.name,))
    connection.close()
    with site.talk() as talk:
        talk.send(b"".join(auth(n, alice.name, f"wrong{n}") for n in range(1, 6)) + auth(6, bob.name, "x"))
        replies = [talk.line() for _ in range(5)]
        with pytest.raises(Closed) as closed:
            talk.line()
    assert closed.value.rest == b""
    assert sorted(reply.split(b"\t")[1] for reply in replies) == [b"%d" % n for n in range(1, 6)]

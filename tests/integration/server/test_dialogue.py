"""The protocol on a real socket, byte by byte: greeting, PLAIN, LOGIN, pipelines, and how others speak it."""

import base64
import os
import re

import pytest

from tests.cases import case
from tests.integration.serving import Server, Site, secret_of
from tests.integration.talking import INTRODUCTION, Closed, Talk, auth, granted, plain

GREETING = re.compile(
    rb"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\n"
    rb"SPID\t(\d+)\nCUID\t(\d+)\nCOOKIE\t([0-9a-f]{32})\nDONE\n"
)


def test_greeting_comes_unasked_and_is_exact(site: Site, server: Server) -> None:
    seen = []
    for _ in range(3):
        with Talk(site.socket) as talk:
            found = GREETING.fullmatch(b"".join(line + b"\n" for line in talk.greeting()))
            assert found is not None
            assert int(found[1]) == server.pid
            seen.append((found[2], found[3]))
    assert len({number for number, _ in seen}) == 3
    assert len({cookie for _, cookie in seen}) == 3


def test_plain_with_initial_response(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        assert talk.login(alice.name, secret_of(alice), 7) == f"OK\t7\tuser={alice.name}".encode()


def test_reply_names_the_canonical_account(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        local = alice.name.split("@")[0].upper()
        assert talk.login(local, secret_of(alice)) == f"OK\t1\tuser={alice.name}".encode()


def test_plain_without_initial_response_is_asked_for_it(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(b"AUTH\t3\tPLAIN\tservice=imap\n")
        assert talk.line() == b"CONT\t3\t"
        talk.send(b"CONT\t3\t" + plain(alice.name, secret_of(alice)) + b"\n")
        assert granted(talk.line())


def test_login_asks_for_name_and_password(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(b"AUTH\t9\tLOGIN\tservice=submission\tsecured\n")
        assert talk.line() == b"CONT\t9\t" + base64.b64encode(b"Username:")
        talk.send(b"CONT\t9\t" + base64.b64encode(alice.name.encode()) + b"\n")
        assert talk.line() == b"CONT\t9\t" + base64.b64encode(b"Password:")
        talk.send(b"CONT\t9\t" + base64.b64encode(secret_of(alice).encode()) + b"\n")
        assert talk.line() == f"OK\t9\tuser={alice.name}".encode()


def test_mechanism_names_are_read_in_any_case(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(auth(1, alice.name, secret_of(alice)).replace(b"PLAIN", b"plain"))
        assert granted(talk.line())


def test_postfix_speaks_first_and_gets_its_answer(site: Site, server: Server) -> None:
    # Postfix: VERSION 1 0, no session, no ports; it may write before it has read the greeting.
    alice = site.person()
    with Talk(site.socket) as talk:
        talk.send(b"VERSION\t1\t0\nCPID\t%d\n" % os.getpid())
        talk.greeting()
        talk.send(b"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.51.100.9\tsecured\tresp=")
        talk.send(plain(alice.name, secret_of(alice)) + b"\n")
        reply = talk.line()
        assert reply == f"OK\t1\tuser={alice.name}".encode()
        assert b"nologin" not in reply


def test_exim_sends_login_with_an_empty_response(site: Site, server: Server) -> None:
    alice = site.person()
    with Talk(site.socket) as talk:
        assert talk.greeting()[-1] == b"DONE"
        talk.send(b"VERSION\t1\t0\nSERVICE\tSMTP\nCPID\t%d\nAUTH\t%d\tLOGIN\tservice=smtp\trip=198.51.100.9" % (7, 7))
        talk.send(b"\tlip=192.0.2.1\tnologin\tresp=\n")
        assert talk.line() == b"CONT\t7\tVXNlcm5hbWU6"
        talk.send(b"CONT\t7\t" + base64.b64encode(alice.name.encode()) + b"\n")
        assert talk.line() == b"CONT\t7\tUGFzc3dvcmQ6"
        talk.send(b"CONT\t7\t" + base64.b64encode(secret_of(alice).encode()) + b"\n")
        assert granted(talk.line())


def test_everything_written_at_once_before_the_greeting_is_read(site: Site, server: Server) -> None:
    alice = site.person()
    with Talk(site.socket) as talk:
        talk.send(INTRODUCTION + auth(1, alice.name, secret_of(alice)))
        talk.greeting()
        assert granted(talk.line())


def test_byte_by_byte_is_the_same_conversation(site: Site, server: Server) -> None:
    alice = site.person()
    with Talk(site.socket) as talk:
        for byte in INTRODUCTION + auth(1, alice.name, secret_of(alice)):
            talk.send(bytes([byte]))
        talk.greeting()
        assert granted(talk.line())


def test_two_hundred_requests_at_once_get_a_reply_each(site: Site, server: Server) -> None:
    alice = site.person()
    token = site.installation.app_passwords.make(alice.name, "phone").password
    secrets = [token if number % 4 == 0 else f"wrong horse{number:06}" for number in range(200)]
    with site.talk() as talk:
        talk.send(b"".join(auth(number, alice.name, secret) for number, secret in enumerate(secrets)))
        replies = talk.lines(200)
        assert {int(reply.split(b"\t")[1]) for reply in replies} == set(range(200))
        for reply in replies:
            assert granted(reply) is (int(reply.split(b"\t")[1]) % 4 == 0)


def test_two_thousand_requests_at_once_of_our_own_client_get_a_reply_each(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(b"".join(auth(number, alice.name, f"wrong horse{number}", ours=True) for number in range(2000)))
        numbers = {int(reply.split(b"\t")[1]) for reply in talk.lines(2000)}
        assert numbers == set(range(2000))
        assert granted(talk.login(alice.name, secret_of(alice), 2000))


def test_slow_request_does_not_hold_up_the_next(site: Site, server: Server) -> None:
    alice = site.person()
    token = site.installation.app_passwords.make(alice.name, "phone").password
    with site.talk() as talk:
        assert granted(talk.login(alice.name, token))
        talk.send(auth(2, alice.name, "wrong horse") + auth(3, alice.name, token))
        assert talk.line().split(b"\t")[:2] == [b"OK", b"3"]
        assert talk.line().split(b"\t")[:2] == [b"FAIL", b"2"]


def test_cancelled_request_is_not_answered(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(auth(1, alice.name, "wrong horse") + b"CANCEL\t1\n" + auth(2, alice.name, "wrong horse"))
        assert talk.line().split(b"\t")[1] == b"2"
        talk.send(b"AUTH\t3\tLOGIN\n")
        assert talk.line().startswith(b"CONT\t3\t")
        talk.send(b"CANCEL\t3\nCONT\t3\t" + base64.b64encode(b"alice") + b"\n" + auth(4, alice.name, "wrong"))
        assert talk.line().split(b"\t")[1] == b"4"


def test_cancelled_login_spends_its_code_all_the_same(site: Site, server: Server) -> None:
    alice = site.person()
    secret = secret_of(alice)
    with site.talk() as talk:
        talk.send(auth(1, alice.name, secret) + b"CANCEL\t1\n")
        server.wait_for(f"verdict=granted reason=second-factor-given account={alice.name}")
        assert not granted(talk.login(alice.name, secret, 2))


def test_number_of_a_cancelled_request_can_be_used_again(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(auth(5, alice.name, "wrong horse") + b"CANCEL\t5\n" + auth(5, alice.name, secret_of(alice)))
        assert talk.line() == f"OK\t5\tuser={alice.name}".encode()
        talk.send(auth(6, alice.name, "wrong horse"))
        assert talk.line().split(b"\t")[1] == b"6", "the cancelled request was answered after all"


def test_unknown_commands_and_parameters_are_ignored(site: Site, server: Server) -> None:
    alice = site.person()
    with site.talk() as talk:
        talk.send(b"FROBNICATE\t1\t2\n\nNOOP\n")
        line = auth(1, alice.name, secret_of(alice)).replace(b"\tresp=", b"\tcolour=blue\tcert_username\tx=\tresp=")
        talk.send(line)
        assert granted(talk.line())


def test_replies_before_a_violation_are_sent_once(site: Site, server: Server) -> None:
    with Talk(site.socket) as talk:
        talk.greeting()
        talk.send(INTRODUCTION + b"AUTH\t1\tLOGIN\nAUTH\t2\tCRAM-MD5\nAUTH\tx\n")
        lines = talk.rest().split(b"\n")
        assert [line.split(b"\t")[0] for line in lines] == [b"CONT", b"FAIL", b""]


def test_violation_closes_the_connection(site: Site, server: Server) -> None:
    for violation in (
        b"AUTH\t1\tPLAIN\n",
        b"CPID\t1\n",
        b"VERSION\t2\t0\n",
        b"VERSION\t1\t1\nVERSION\t1\t1\n",
        INTRODUCTION + b"CPID\t1\n",
        INTRODUCTION + b"AUTH\t-1\tPLAIN\n",
        INTRODUCTION + b"AUTH\t4294967296\tPLAIN\n",
        INTRODUCTION + b"AUTH\t1\tLOGIN\nAUTH\t1\tLOGIN\n",
        INTRODUCTION + b"AUTH\t1\tPLAIN\tservice=\x01x\n",
        INTRODUCTION + b"x" * 16385,
        INTRODUCTION + b"x" * 16385 + b"\n",
    ):
        with case(violation):
            with Talk(site.socket) as talk:
                talk.greeting()
                talk.send(violation)
                talk.rest()
            with site.talk() as talk:
                talk.send(b"AUTH\n")
                with pytest.raises(Closed):
                    talk.line()

"""One code, many clients at once, one server or two: exactly one gets in (CON1, REC2, F1); revocation (APP2)."""

import threading
import time
from collections.abc import Sequence

import pytest

from tests.integration.serving import Server, Site, secret_of
from tests.integration.talking import Talk, auth, granted
from tests.rounds import rounds

ROUNDS = 40
CLIENTS = 20


@pytest.fixture(scope="module")
def servers(site: Site, server: Server) -> tuple[Server, Server]:
    """Give two servers on one database."""
    config, path = site.second_configuration()
    return server, site.serve(config=config, socket=path)


class Clients:
    """Connections of clients with different addresses, who all speak at the same moment."""

    def __init__(self, site: Site, servers: Sequence[Server]) -> None:
        self.talks = [site.talk(servers[number % len(servers)]) for number in range(CLIENTS)]

    def accepted(self, name: str, secret: str) -> int:
        """Send one login from everybody at once; return how many got in. A reply other than yes or no is an error."""
        lines = [auth(1, name, secret, client=f"198.51.100.{number}") for number in range(CLIENTS)]
        start = threading.Barrier(4)

        def send(part: int) -> None:
            start.wait(20)
            for talk, line in list(zip(self.talks, lines, strict=True))[part::4]:
                talk.send(line)

        senders = [threading.Thread(target=send, args=(part,)) for part in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        return sum(granted(talk.line()) for talk in self.talks)

    def close(self) -> None:
        for talk in self.talks:
            talk.close()


@pytest.mark.parametrize("count", [1, 2], ids=["one server", "two servers"])
def test_of_twenty_logins_with_one_code_exactly_one_passes(
    site: Site, servers: tuple[Server, Server], count: int
) -> None:
    clients = Clients(site, servers[:count])
    for _ in rounds(ROUNDS):
        person = site.person()
        assert clients.accepted(person.name, secret_of(person)) == 1
    clients.close()


@pytest.mark.parametrize("count", [1, 2], ids=["one server", "two servers"])
def test_of_twenty_logins_with_one_recovery_code_exactly_one_passes(
    site: Site, servers: tuple[Server, Server], count: int
) -> None:
    clients = Clients(site, servers[:count])
    for _ in rounds(ROUNDS // 10):
        person = site.person()
        for code in site.installation.recovery_codes.issue(person.name)[1]:
            assert clients.accepted(person.name, person.password + code) == 1
    clients.close()


def test_one_code_pipelined_on_one_connection_passes_once(site: Site, server: Server) -> None:
    with site.talk() as talk:
        for _ in rounds(10):
            person = site.person()
            secret = secret_of(person)
            talk.send(b"".join(auth(number, person.name, secret) for number in range(50)))
            assert sum(granted(reply) for reply in talk.lines(50)) == 1


def test_codes_of_three_steps_at_once_pass_in_rising_order_only(site: Site, servers: tuple[Server, Server]) -> None:
    # OTP4 under a race: whatever passed, the highest step that passed was the last one.
    from tests.integration.serving import fresh_step

    fresh_step()
    for _ in range(20):
        person = site.person()
        now, later = secret_of(person), secret_of(person, 1)
        talks = [site.talk(server) for server in servers for _ in range(2)]
        for talk, secret in zip(talks, (now, later, later, now), strict=True):
            talk.send(auth(1, person.name, secret))
        replies = [granted(talk.line()) for talk in talks]
        assert replies[1] + replies[2] == 1, "the later step passes once, in any order"
        assert replies[0] + replies[3] <= 1
        with site.talk() as talk:
            assert not granted(talk.login(person.name, now))
            assert not granted(talk.login(person.name, later, 2))
        for talk in talks:
            talk.close()


def test_app_password_that_is_revoked_is_out_within_a_second_on_both(
    site: Site, servers: tuple[Server, Server]
) -> None:
    # APP2
    person = site.person()
    talks: list[Talk] = [site.talk(server) for server in servers]
    for _ in range(3):
        made = site.installation.app_passwords.make(person.name, "phone")
        assert all(granted(talk.login(person.name, made.password)) for talk in talks)
        site.installation.app_passwords.revoke(person.name, made.id)
        revoked_at = time.monotonic()
        accepted_at = revoked_at
        while time.monotonic() - revoked_at < 1.5:
            for talk in talks:
                asked_at = time.monotonic()
                if granted(talk.login(person.name, made.password)):
                    accepted_at = asked_at
        assert accepted_at - revoked_at < 1.0
    for talk in talks:
        talk.close()


def test_change_of_password_is_in_force_on_both_at_once(site: Site, servers: tuple[Server, Server]) -> None:
    from mailauth.vocabulary.secret import Secret

    person = site.person()
    talks = [site.talk(server) for server in servers]
    new = Secret(b"battery staple")
    site.installation.accounts.set_password(person.name, new, revoke_app_passwords=False)
    for talk in talks:
        assert not granted(talk.login(person.name, secret_of(person)))
    person.password = "battery staple"
    assert granted(talks[0].login(person.name, secret_of(person)))
    assert not granted(talks[1].login(person.name, secret_of(person)))
    for talk in talks:
        talk.close()

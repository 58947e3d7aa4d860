"""People at browsers: sessions that tests open, and what they are told by mail. Holds no tests."""

import base64
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

from sqlalchemy import select

from mailauth.effects.keyring import Sealed
from mailauth.effects.store import tables
from mailauth.effects.store.outbox_leases import LeasedMail
from mailauth.usecases.portal_sessions import Session
from mailauth.usecases.set_up import PendingSetUp, SetUpDone
from mailauth.vocabulary.model import AccountName, Credential, Granted
from mailauth.vocabulary.notices import Notice, Origin
from mailauth.vocabulary.reasons import WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.transactions import reading
from tests.world import Person, World

T = TypeVar("T")
BOTH = Credential.PASSWORD_AND_CODE
FIREFOX = Origin("portal", ip_address("192.0.2.7"), "Firefox on Android")


def loaded(world: World, cookie: str) -> Session:
    """Return the session of a cookie, which has to be there."""
    session = world.installation.sessions.load(cookie)
    assert session is not None
    return session


def granted(world: World, name: str, credential: Credential = BOTH) -> Granted:
    """Return the verdict on a login that would be granted now."""
    account = world.installation.accounts.get(name)
    return Granted(account.name, credential, WhyGranted.SECOND_FACTOR_GIVEN, epoch=account.epoch)


def log_in(world: World, person: Person, credential: Credential | None = None) -> Session:
    """Open a session, by what the person has."""
    given = credential or (BOTH if person.seed else Credential.PASSWORD)
    return loaded(world, world.installation.sessions.open(granted(world, person.name, given), FIREFOX))


def seed_of(pending: PendingSetUp) -> bytes:
    """Return the seed that an app has scanned."""
    return base64.b32decode(pending.secret)


def code_of(world: World, pending: PendingSetUp, steps: int = 0) -> Secret:
    """Return what an app that has scanned this shows, `steps` steps from now."""
    return Secret(Person(AccountName(""), "", seed_of(pending)).code(world.clock(), steps).encode())


def wrong_code_of(world: World, pending: PendingSetUp) -> Secret:
    """Return six digits that no clock within reach would show."""
    shown = {code_of(world, pending, steps).reveal() for steps in range(-11, 12)}
    return Secret(next(code for code in (b"%06d" % n for n in range(100)) if code not in shown))


def set_up(world: World, person: Person, session: Session | None = None) -> SetUpDone:
    """Bind an authenticator in the portal; the person holds it afterwards."""
    session = session or log_in(world, person)
    pending = world.installation.set_up.begin(session)
    done = world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)
    assert isinstance(done, SetUpDone), done
    person.seed = seed_of(pending)
    return done


def mails(world: World) -> list[tuple[str, Notice]]:
    """Return all mails that are queued, in the order of their making: to whom, and what they say."""
    with reading(world.installation.database) as connection:
        rows = connection.execute(select(tables.outbox).order_by(tables.outbox.c.id)).all()
    found = []
    for row in rows:
        sealed = Sealed(row.key_id, row.content)
        made = (row.id, row.message_id, row.recipient, row.language, row.kind, sealed, row.created_at)
        mail = LeasedMail(*made, tries=1, tried_since=row.created_at)
        found.append((row.recipient, world.installation.notices.opened(mail)))
    return found


def kinds(world: World) -> list[str]:
    """Return what the queued mails are about."""
    return [str(notice.kind) for _, notice in mails(world)]


def link_in(world: World, position: int = -1) -> str:
    """Return the token of the link in a mail, the last one by default."""
    links = [notice.facts["link"] for _, notice in mails(world) if "link" in notice.facts]
    prefix, token = str(links[position]).rsplit("/", 1)
    assert prefix == "/link"
    return token


def in_parallel(count: int, job: Callable[[], T]) -> list[T]:
    """Return what so many threads get that do the same at once."""
    results: list[T] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        results.append(job())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results

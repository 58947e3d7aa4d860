"""How each kind of database that a provider may have is connected to, so that one that hangs takes a bounded time.

The figures were measured with the server stopped (SIGSTOP): a time-out for connecting alone covers no greeting, and
the drivers' own for statements none of the ways in which a server hangs.
"""

import time
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from mailauth.vocabulary.errors import InvalidValue

EXTRAS: Final = {"pymysql": "mariadb", "psycopg": "postgresql"}
"""By the module that a URL needs: the extra of the package that brings it."""
RECYCLE_S: Final = 300


def engine(url: str, connections: int, timeout_s: float) -> Engine:
    """Return an engine that asks, commits nothing by itself, and gives up after `timeout_s` on each statement.

    Raises InvalidValue for what is no URL, and for a driver that is not installed.
    """
    parsed = _parsed(url)
    try:
        made = create_engine(
            parsed,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=timeout_s,
            pool_recycle=RECYCLE_S,
            isolation_level="AUTOCOMMIT",
            connect_args=_connect_args(parsed, timeout_s),
            hide_parameters=True,
        )
    except NoSuchModuleError as error:
        raise InvalidValue(f"there is no kind of database {parsed.drivername}") from error
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        install = f"pip install 'mailauth[{extra}]'" if extra else f"install the Python module {error.name}"
        raise InvalidValue(f"{parsed.drivername} needs a driver that is not installed: {install}") from error
    if made.dialect.driver == "psycopg":
        _give_up_when_it_hangs(made, timeout_s)
    return made


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        problem = "this is no URL of a database; write it as mysql+pymysql://user:password@host/name"
        raise InvalidValue(problem) from None
    plain = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql", "postgresql": "postgresql+psycopg"}
    parsed = parsed.set(drivername=plain.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise InvalidValue("an SQLite database is a file; write it as sqlite:////var/lib/panel/users.sqlite")
        if not parsed.database.startswith("file:"):  # never made where it is missing, never written by a query
            parsed = parsed.set(database=f"file:{parsed.database}", query={"uri": "true", "mode": "rw"})
    return parsed


def _connect_args(url: URL, timeout_s: float) -> dict[str, Any]:
    seconds = max(1, round(timeout_s))
    match url.drivername.partition("+")[2] or url.get_backend_name():
        case "pymysql":
            return {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
        case "psycopg":
            return {"connect_timeout": max(2, seconds), "prepare_threshold": None}  # libpq takes 1 for 2
        case "sqlite":
            return {"timeout": timeout_s, "check_same_thread": False}
        case _:
            return {}


def _give_up_when_it_hangs(made: Engine, timeout_s: float) -> None:
    """Give each wait for the server an end: for a stopped process the kernel acknowledges, and libpq waits."""
    import psycopg  # an extra: only where a configuration names it

    class DeadlineConnection(psycopg.Connection[Any]):
        """A connection that ends when an answer does not come in time."""

        def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
            """Wait for what a generator of psycopg's asks for."""
            return super().wait(self._bounded(gen), *arguments, **named)

        def _bounded(self, gen: Any) -> Any:
            end = time.monotonic() + timeout_s
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > end:
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the server gave no answer in time")
                    wanted = gen.send(ready)
            except StopIteration as stop:
                return stop.value

    @event.listens_for(made, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        return DeadlineConnection.connect(*arguments, **parameters)

"""Connections to Postgres: the URL in the driver's form, the pool, and waiting through a server that is away."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
import psycopg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.coordinator.cancellation import end_if_cancelled
from shared import logs
from shared.errors import ConfigError

log = logs.get(__name__)
Result = TypeVar("Result")
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # an escaped NUL that is not itself behind a backslash

# Beginnings of the SQLSTATEs that pass without our doing: the same statement will do later
PASSING = (
    "08",  # the connection was lost
    "25006",  # read only: a standby, before it is promoted or we are led elsewhere
    "25P03",  # idle in a transaction for too long: this process was stopped
    "40001",  # serialization failure
    "40003",  # nobody knows whether it was completed
    "40P01",  # deadlock
    "53",  # disk full, out of memory, too many connections
    "55P03",  # lock timeout
    "57014",  # cancelled by a timeout or an operator
    "57P01",  # shut down
    "57P02",  # crashed
    "57P03",  # starting up
    "57P05",  # idle for too long
    "58",  # the disk could not be read or written
)
READ_ONLY = "25006"
# A server that vanishes without a word is noticed within 25 s, whether we write to it or wait for it
LIVENESS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
POOL_TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 2.0


def driver_url(url: str) -> URL:
    """Any `postgres://` or `postgresql://` URL with psycopg as its driver."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        raise ConfigError("DATABASE_URL: expected postgresql://USER:PASSWORD@HOST:PORT/NAME") from error
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(f"DATABASE_URL: expected a postgresql:// URL, got {parsed.get_backend_name()}://")
    return parsed.set(drivername="postgresql+psycopg")


def connect(url: str, connections: int = 10, idle_in_transaction_s: float | None = None) -> AsyncEngine:
    """A pool of connections; nothing is opened yet.

    `idle_in_transaction_s`: the server ends a transaction whose client is silent for so long (a stopped process),
    so that its locks hold nobody up.
    """
    parsed, options = driver_url(url), dict[str, Any](LIVENESS)
    if idle_in_transaction_s is not None:
        options["options"] = f"-c idle_in_transaction_session_timeout={int(idle_in_transaction_s * 1000)}"
    engine = create_async_engine(
        parsed,
        pool_size=connections,
        max_overflow=0,  # more would be opened and closed all the time; who comes late waits
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={
            "application_name": "comd",
            **{name: value for name, value in options.items() if name not in parsed.query},
        },
    )
    event.listen(engine.sync_engine, "handle_error", _leave_read_only_server)
    return engine


@dataclass(frozen=True)
class Reader:
    """An engine's pool for single statements that only read: no BEGIN and no ROLLBACK around them."""

    engine: AsyncEngine

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        # The option is set here and not on the engine, which would set it before the connection is anybody's:
        # a cancellation at that moment left it to the garbage collector, and the pool one short until then.
        async with self.engine.connect() as c:
            yield await c.execution_options(isolation_level="AUTOCOMMIT")


def _leave_read_only_server(context: ExceptionContext) -> None:
    """After a failover the address may lead to the new server, but only on new connections."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def passes(sqlstate: str) -> bool:
    """Whether an error goes away without our doing."""
    return sqlstate.startswith(PASSING)


def is_passing(error: BaseException) -> bool:
    """Whether the database is only away for a while, as opposed to refusing what was asked."""
    if isinstance(error, PoolTimeout):
        return True
    said = error.orig if isinstance(error, DBAPIError) else error
    if (state := getattr(said, "sqlstate", None)) is not None:
        return passes(state)
    # without a state no server spoke: there is no connection, or the client refuses the statement
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(said, psycopg.OperationalError | psycopg.InterfaceError)


async def persistently(action: Callable[[], Awaitable[Result]]) -> Result:
    """Run it again, for ever, while the database is away; other errors pass through."""
    pause_s = 0.1
    while True:
        try:
            return await action()
        except (SQLAlchemyError, psycopg.Error) as error:
            if not is_passing(error):
                raise
            end_if_cancelled()  # the error of a rollback can take the place of a cancellation
            log.warning("database_away", reason=str(getattr(error, "orig", error))[:200], retry_in_s=pause_s)
        await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))  # not all that wait at once
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def to_json(value: Any) -> str:
    """JSON for a query's parameter; Postgres text cannot hold NUL, so it is dropped."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    # looked for first: the pattern takes twenty times as long as writing the JSON
    return NUL.sub(r"\1", text) if "\\u0000" in text else text

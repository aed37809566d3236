"""Connections to Postgres: the URL in the driver's form, the engine, and waiting through a lost server."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared import logs
from shared.errors import ConfigError

log = logs.get(__name__)
Result = TypeVar("Result")
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # an escaped NUL that is not itself behind a backslash


def driver_url(url: str) -> URL:
    """Any `postgres://` or `postgresql://` URL with psycopg as its driver."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        raise ConfigError("DATABASE_URL: expected postgresql://USER:PASSWORD@HOST:PORT/NAME") from error
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(f"DATABASE_URL: expected a postgresql:// URL, got {parsed.get_backend_name()}://")
    return parsed.set(drivername="postgresql+psycopg")


def connect(url: str, connections: int = 10) -> AsyncEngine:
    """A pool of connections; nothing is opened yet."""
    return create_async_engine(
        driver_url(url),
        pool_size=connections,
        max_overflow=0,  # more would be opened and closed all the time; who comes late waits
        connect_args={"connect_timeout": 10, "application_name": "comd"},
    )


def reader(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for single statements that only read: no BEGIN and no ROLLBACK around them."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def is_connection_lost(error: BaseException) -> bool:
    """Whether the server went away, as opposed to refusing what was asked."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    gone = state is None or state.startswith(("08", "57P"))
    return error.connection_invalidated or (gone and type(error).__name__ == "OperationalError")


async def persistently(action: Callable[[], Awaitable[Result]]) -> Result:
    """Run it again, for ever, while the server cannot be reached; other errors pass through."""
    pause_s = 0.1
    while True:
        try:
            return await action()
        except DBAPIError as error:
            if not is_connection_lost(error):
                raise
            log.warning("database_lost", reason=str(error.orig)[:200], retry_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 5.0)


def to_json(value: Any) -> str:
    """JSON for a query's parameter; Postgres text cannot hold NUL, so it is dropped."""
    return NUL.sub(r"\1", orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())

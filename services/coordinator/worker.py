"""A worker as a process: `python -m services.coordinator.worker`, as many as there is work for.

In: the coordinator's settings. It waits for the schema, works until SIGTERM or SIGINT, lets what is under way end
within a few seconds, and gives back what it holds.
"""

import asyncio
import signal

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.database import connect, persistently
from services.coordinator.metrics_port import answering_metrics
from services.coordinator.migrate import schema_is_current
from services.coordinator.outgoing import Http
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.work_loops import Worker
from shared import logs
from shared.keys import load_keys
from shared.settings import load

DRAIN_S = 5.0  # a supervisor kills after eight or ten
GIVE_BACK_S = 1.5

log = logs.get(__name__)


async def wait_for_schema(engine: AsyncEngine) -> None:
    """The coordinator brings the schema up to date; workers wait for it."""

    async def is_current() -> bool:
        async with engine.connect() as c:
            return await c.run_sync(schema_is_current)

    while not await persistently(is_current):
        log.info("waiting_for_schema")
        await asyncio.sleep(0.5)


async def work_until_told(settings: CoordinatorSettings, drain_s: float = DRAIN_S) -> None:
    """Until SIGTERM or SIGINT; what is under way then has `drain_s` to end."""
    # well below a lease: until then a stopped worker's locks keep the others from renewing theirs
    engine = connect(settings.database_url, connections=6, idle_in_transaction_s=settings.lease_s / 3)
    queue = Queue(settings.redis_url, settings.queue_name)
    keys = load_keys()
    http = Http(keys, settings.timeout_s)
    await wait_for_schema(engine)
    services = Services(http, settings)
    worker, told = Worker(settings, engine, queue, services), asyncio.Event()
    working = asyncio.create_task(worker.run())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    log.info("worker_started", concurrency=settings.concurrency)
    async with answering_metrics(settings, keys, engine):
        await asyncio.wait([working, asyncio.create_task(told.wait())], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()  # it never ends by itself but by an error
        await worker.drain(drain_s)
        working.cancel()
        await asyncio.wait([working], timeout=GIVE_BACK_S)  # a database that is away is not waited for
    await services.close()
    await queue.close()
    await engine.dispose()


def main() -> None:
    settings = load(CoordinatorSettings, program="coordinator.worker")
    logs.configure("worker")
    uvloop.run(work_until_told(settings))


if __name__ == "__main__":
    main()

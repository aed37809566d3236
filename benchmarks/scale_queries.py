"""What grows with the pool beside the calls: a phase's plan, looks, progress, selection, the training file, pages.

In: `python -m benchmarks.scale_queries 50000 500000`. Out: seconds by size in a JSON file named by the CPU, and the
same on stdout. An embedded Postgres, filled by SQL with the fourth iteration's pools; this process's peak memory.
"""

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.hardware import cpu_name
from benchmarks.scaling.place import Place
from services.coordinator.database import Reader, connect
from services.coordinator.merge import answered, images, training_line
from services.coordinator.repositories import outcomes, planning, pools, tasks, work
from services.coordinator.repositories.rows import execute
from tests.integration.builders import RUN
from tests.integration.filled import ITERATION, fill

PHASE = (RUN, ITERATION, "assessing")
LAST_ID = (1 << 63) - (1 << 56)


async def measured(url: str, size: int) -> dict[str, Any]:
    engine = connect(url)
    found: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}

    async def take(name: str, action: Callable[[], Awaitable[Any]], times: int = 1) -> None:
        began = time.monotonic()
        for _ in range(times):
            await action()
        found[name] = round((time.monotonic() - began) / times, 4)

    await take("fill (SQL, not the product)", lambda: _filled(engine, size))
    await take("analyze", lambda: _in(Reader(engine), lambda c: planning.analyze(c)))
    await take("plan", lambda: _in(engine, lambda c: planning.plan(c, *PHASE, work.LACKING["assessing"])))
    await take("analyze tasks", lambda: _in(Reader(engine), lambda c: planning.analyze(c, "tasks")))
    await take("publish 512 and finish", lambda: _publish(engine), times=5)
    await take("look", lambda: _in(Reader(engine), lambda c: planning.look(c, *PHASE, "")), times=20)
    await take("progress", lambda: _in(engine, lambda c: work.progress(c, *PHASE)))
    await take("select", lambda: _in(engine, _select))
    await take("training file", lambda: _merge(engine, "cache"))
    await take("first page", lambda: _page(engine, -1), times=20)
    await take("deep page", lambda: _page(engine, LAST_ID), times=20)
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    await engine.dispose()
    return found


async def _in(engine: AsyncEngine | Reader, action: Callable[[Any], Awaitable[Any]]) -> Any:
    async with engine.connect() as c:
        result = await action(c)
        await c.commit()
        return result


async def _filled(engine: AsyncEngine, size: int) -> None:
    async with engine.begin() as c:
        await fill(c, size)
        await execute(c, "DELETE FROM selections")


async def _publish(engine: AsyncEngine) -> None:
    """As many tasks as are out at once go the whole way."""
    async with engine.begin() as c:
        keys = await planning.publish(c, *PHASE, 512, again=False)
    async with engine.begin() as c:
        await tasks.finish(c, await tasks.claim(c, keys, "benchmark", 60))


async def _select(c: Any) -> None:
    await outcomes.select(c, RUN, ITERATION - 1, mode="balanced", number=None, tau=0.9, seed=0)


async def _page(engine: AsyncEngine, after: int) -> None:
    async with Reader(engine).connect() as c:
        assert len(await pools.page(c, RUN, "cache", ITERATION, after, 101)) > 1


async def _merge(engine: AsyncEngine, pool: str) -> None:
    with tempfile.TemporaryFile() as file:
        async for image, rows in images(pools.by_image(engine, RUN, pool, ITERATION)):
            if items := answered(rows):
                file.write(orjson.dumps(training_line(image, items)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+")
    file = Path(__file__).parent / "baselines" / f"scale_queries-{cpu_name()}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for size in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory(prefix="comd-scale-") as name, Place(Path(name), 0) as place:
            found[str(size)] = asyncio.run(measured(place.database_url, size))
        file.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({str(size): found[str(size)]}, indent=2), flush=True)


if __name__ == "__main__":
    main()

"""What it costs to keep the sums of a run's calls, and what it saves to read them.

In: `python -m benchmarks.usage_sums`. Out: a JSON file named by the CPU, and the same on stdout. An embedded Postgres
of its own; eight writers commit calls in hundreds with and without the sums, then a million calls are summed both ways.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from benchmarks.hardware import cpu_name
from comd.stack.postgres import forget_sockets, postgres_child
from services.coordinator.database import connect, to_json
from services.coordinator.migrate import migrate
from services.coordinator.repositories import usage
from services.coordinator.repositories.rows import execute, fetch, scalar
from tests.integration.builders import RUN, make_run

WRITERS, AT_ONCE = 8, 100
ROLES = ("teacher", "student", "assessor", "augmentor")
USED = dict.fromkeys(usage.SUMMED, 1) | {"prompt_tokens": 700, "completion_tokens": 100, "cost_nanos": 12345}
SOURCE = f"SELECT {usage.COLUMNS} FROM json_populate_recordset(NULL::calls, CAST(:rows AS json))"
ROWS_ALONE = f"INSERT INTO calls ({usage.COLUMNS}) {SOURCE} ON CONFLICT DO NOTHING"
AGGREGATE = f"""
    SELECT iteration, role, {", ".join(f"sum({name})" for name in usage.SUMMED)}
    FROM calls WHERE run_id = :run_id GROUP BY iteration, role
"""


def calls(turn: str) -> list[dict[str, Any]]:
    common = {"run_id": RUN, "iteration": 1, "phase": "teaching", "attempt": 1, "model_revision": "m"}
    return [
        {**common, **USED, "image": turn, "number": number, "role": ROLES[number % 4]}
        for number in range(AT_ONCE)
    ]


async def written(engine: AsyncEngine, with_sums: bool, turns: int, name: str) -> float:
    """Calls a second of all writers together."""

    async def write(c: AsyncConnection, turn: str) -> None:
        rows = calls(turn)
        await (usage.record(c, rows) if with_sums else execute(c, ROWS_ALONE, rows=to_json(rows)))

    async def writer(number: int) -> None:
        for turn in range(turns):
            async with engine.begin() as c:
                await write(c, f"{name} {number} {turn}")

    began = time.perf_counter()
    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    return WRITERS * turns * AT_ONCE / (time.perf_counter() - began)


async def read_ms(c: AsyncConnection, aggregate: bool) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await (fetch(c, AGGREGATE, run_id=RUN) if aggregate else usage.totals(c, RUN))
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


async def measured(url: str, rounds: int, turns: int, filled: int) -> dict[str, Any]:
    engine = connect(url, connections=WRITERS)
    async with engine.begin() as c:
        await make_run(c, number=1)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds):
        for with_sums in (False, True) if number % 2 else (True, False):
            rate = await written(engine, with_sums, turns, f"{number} {with_sums}")
            rates[with_sums].append(round(rate))
    async with engine.begin() as c:
        every = ", ".join(f"{USED[name]}" for name in usage.SUMMED)
        await execute(
            c,
            f"INSERT INTO calls ({usage.COLUMNS}) SELECT '{RUN}', 1 + n % 4, 'assessing', n::text, 1, 1, "
            f"(ARRAY{list(ROLES)})[1 + n % 4], 'm', {every} FROM generate_series(1, {filled}) n",
        )
    async with engine.connect() as c:
        size = await scalar(c, "SELECT pg_total_relation_size('calls')")
        found = {
            "calls_per_s": {"rows alone": rates[False], "with sums": rates[True]},
            "num_calls": (number := await scalar(c, "SELECT count(*) FROM calls")),
            "bytes_per_call": round(size / number),
            "read_ms": {"sums": await read_ms(c, False), "aggregate": await read_ms(c, True)},
        }
    await engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--turns", type=int, default=40, help="commits of each writer in a round")
    parser.add_argument("--filled", type=int, default=1_000_000, help="calls that are summed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="comd-usage-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another user
        child, url = postgres_child(folder / "postgres", folder / "postgres.log")
        child.start()
        try:
            wait(url)
            migrate(url)
            found = asyncio.run(measured(url, options.rounds, options.turns, options.filled))
        finally:
            child.ask_to_stop()
            child.wait_or_kill()
            forget_sockets(folder / "postgres")
    text = json.dumps(found, indent=2)
    (Path(__file__).parent / "baselines" / f"usage_sums-{cpu_name()}.json").write_text(text + "\n")
    print(text)


def wait(url: str) -> None:
    """Until the server takes connections."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        time.sleep(0.1)
    raise SystemExit("the embedded Postgres did not start")


if __name__ == "__main__":
    main()

"""An iteration at a size: seconds, rows a second and peak memory of every process, phase by phase.

In: `python -m benchmarks.scale --http 5000 --in-process 50000 150000 500000`. Out: a JSON file named by the CPU, to
which each size is added, and the same on stdout. Models answer in no time: over real HTTP through the role services
(a data set is imported and the first iteration run), or inside the worker (the fourth iteration of a run whose
first three were filled in by SQL).
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.hardware import cpu_name
from benchmarks.scaling.data import write_data
from benchmarks.scaling.memory import Memory
from benchmarks.scaling.place import Place
from services.coordinator.database import connect
from services.coordinator.repositories import planning
from services.coordinator.repositories.rows import execute
from tests.integration.builders import RUN
from tests.integration.filled import ITERATION, fill

LOOK_S = 0.2
ROWS_OF = {
    "teaching": "tuning_pool",
    "training": "tuning_pool",
    "assessing": "cache_pool",
    "selecting": "cache_pool",
}
EVERY_IMAGE = "SELECT image FROM instructions WHERE run_id = :run_id AND born_in <= :iteration"


def over_http(place: Place, size: int) -> tuple[str, int, dict[str, Any]]:
    """Import, and the first iteration of two."""
    data = write_data(place.folder / "data", size)
    place.start_roles()
    place.start_coordinator()
    began = time.monotonic()
    asked = {"name": "data", "path": str(data), "images": str(data.parent)}
    told = place.post("/v1/datasets", asked)
    seconds = time.monotonic() - began
    run = place.post("/v1/runs", {"name": "scale", "dataset": "data", "config": {}})
    place.start_workers("services.coordinator.worker")
    place.post(f"/v1/runs/{run['id']}/iterations", {"count": 2})
    return run["id"], 1, {"import": spent(seconds, told["num_instructions"])}


def in_process(place: Place, size: int) -> tuple[str, int, dict[str, Any]]:
    """The fourth iteration of five, from its teaching on."""

    async def fill_in() -> None:
        engine = connect(place.database_url)
        async with engine.begin() as c:
            await fill(c, size, answered=ITERATION - 1)
            await execute(
                c,
                "UPDATE iterations SET phase = 'teaching', judge = NULL, checkpoint = NULL WHERE number = :number",
                number=ITERATION,
            )
            await execute(c, "UPDATE runs SET status = 'paused', target = :target", target=ITERATION + 1)
        await engine.dispose()

    async def begin() -> None:
        engine = connect(place.database_url)
        async with engine.begin() as c:
            await execute(c, "UPDATE iterations SET phase_started_at = now()")
            await execute(c, "UPDATE runs SET status = 'running'")
        await engine.dispose()

    asyncio.run(fill_in())
    place.start_coordinator()
    place.start_workers("benchmarks.scaling.worker")
    asyncio.run(begin())
    return RUN, ITERATION, {}


def measured(size: int, begin: Callable[[Place, int], tuple[str, int, dict[str, Any]]], workers: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="comd-scale-") as name, Place(Path(name), workers) as place:
        load = os.getloadavg()[0]
        run_id, number, found = begin(place, size)
        with Memory(place.pids()) as memory:
            iteration = place.wait_for(run_id, number)
            peaks = memory.take()
            found |= phases(iteration)
            found["plan"] = asyncio.run(planned(place.database_url, run_id, number, iteration["cache_pool"]))
            for form in ("llava", "openai", "parquet"):
                found[f"export {form}"] = exported(place.http, run_id, form, iteration["cache_pool"])
            exporting = memory.take()
        return {
            "instructions": iteration["cache_pool"],
            "load_before": round(load, 1),
            "load_after": round(os.getloadavg()[0], 1),
            "workers": workers,
            "phases": found,
            "peak_mib": peaks,
            "peak_mib_exporting": exporting,
        }


def phases(iteration: dict[str, Any]) -> dict[str, Any]:
    rows = {phase: iteration[name] for phase, name in ROWS_OF.items()}
    rows["augmenting"] = iteration["difficult"] + iteration["easy"]
    return {
        phase: spent(seconds, rows[phase]) for phase, seconds in iteration["seconds"].items() if phase in rows
    }


async def planned(url: str, run_id: str, iteration: int, rows: int) -> dict[str, Any]:
    """Tasks for all images, rolled back."""
    engine = connect(url)
    async with engine.connect() as c:
        began = time.monotonic()
        await planning.plan(c, run_id, iteration, "benchmark", EVERY_IMAGE)
        seconds = time.monotonic() - began
        await c.rollback()
    await engine.dispose()
    return spent(seconds, rows)


def exported(http: httpx.Client, run_id: str, form: str, rows: int) -> dict[str, Any]:
    began, size = time.monotonic(), 0
    with http.stream("GET", f"/v1/runs/{run_id}/pools/cache/export", params={"format": form}) as reply:
        reply.raise_for_status()
        for part in reply.iter_bytes():
            size += len(part)
    return {**spent(time.monotonic() - began, rows), "megabytes": round(size / 1e6, 1)}


def spent(seconds: float, rows: int) -> dict[str, Any]:
    return {"seconds": round(seconds, 2), "rows": rows, "rows_per_s": round(rows / max(seconds, 1e-3))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", type=int, nargs="*", default=[])
    parser.add_argument("--in-process", type=int, nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    file = Path(__file__).parent / "baselines" / f"scale-{cpu_name()}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    sizes = [("http", size, over_http) for size in options.http]
    sizes += [("in process", size, in_process) for size in options.in_process]
    for kind, size, begin in sizes:
        found[f"{kind}, {size}"] = measured(size, begin, options.workers)
        file.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({f"{kind}, {size}": found[f"{kind}, {size}"]}, indent=2), flush=True)


if __name__ == "__main__":
    main()

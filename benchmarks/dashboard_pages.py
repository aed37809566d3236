"""The dashboard's pages of a large run: the time from a request to the answer's last byte, over HTTP on loopback.

In: `python -m benchmarks.dashboard_pages 50000 500000`. Out: milliseconds by page (the first look, and median and most
of those after it) in a JSON file named by the CPU, and the same on stdout. A coordinator as it is started in earnest,
an embedded Postgres filled by SQL with the fourth iteration's pools, varied in kind, verdict and wording.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.hardware import cpu_name
from benchmarks.scaling.place import Place
from services.coordinator.database import Reader, connect
from services.coordinator.repositories.rows import execute
from tests.integration.builders import RUN
from tests.integration.filled import ITERATION, fill

ROUNDS = 20
GOAL_MS = 300
VARIED = (
    "UPDATE instructions SET task_type = (ARRAY['colour', 'count', 'position', 'shape', 'text'])[1 + id % 5]",
    "UPDATE instructions SET text = 'is there a harbour in place ' || id || '?' WHERE id % 1000 = 7",
    "UPDATE verdicts SET student_score = 9 WHERE instruction_id % 40 = 3",
    """
    UPDATE verdicts SET unjudged = true, difficulty = NULL, teacher_score = NULL, student_score = NULL,
        reason = 'unreadable verdict' WHERE instruction_id % 200 = 5
    """,
    """
    INSERT INTO failures (run_id, iteration, phase, image, instruction_id, reason, attempts)
    SELECT run_id, 3, 'assessing', image, id, 'the engine answered 500', 4 FROM instructions WHERE id % 100 = 9
    """,
    """
    INSERT INTO event_log (run_id, action, cause, detail)
    SELECT run_id, (ARRAY['phase_moved', 'paused', 'resumed'])[1 + n % 3], 'asked for by key ' || n % 50, '{"n": 1}'
    FROM generate_series(1, 50000) n, iterations WHERE number = 1
    """,
    "UPDATE verdicts SET difficulty = 0.1 WHERE iteration = 3 AND difficulty > 0.33 AND instruction_id % 9 = 4",
    """
    INSERT INTO training_points (run_id, iteration, step, loss, learning_rate)
    SELECT run_id, number, step, 1 + 1 / step, 2e-5 FROM iterations, generate_series(1, 13750) step
    """,
    "UPDATE runs SET status = 'paused'",
    "UPDATE iterations SET phase = 'complete' WHERE number < 4",
)
PAGES = {
    "the runs": "/",
    "the run": f"/runs/{RUN}",
    "its charts": f"/runs/{RUN}/charts",
    "its training curves": f"/runs/{RUN}/training",
    "its history": f"/runs/{RUN}/history",
    "its failures": f"/runs/{RUN}/failures",
    "failures of one phase": f"/runs/{RUN}/failures?iteration=3&phase=assessing",
    "its events": f"/runs/{RUN}/events",
    "events of one kind and cause": f"/runs/{RUN}/events?action=paused&cause=key+7",
    "events of no such cause": f"/runs/{RUN}/events?cause=zebra",
    "all events": "/events",
    "its endpoints": f"/runs/{RUN}/endpoints",
    "what changed": f"/runs/{RUN}/compare?from=2&to=3",
    "how much changed": f"/runs/{RUN}/compare/sums?from=2&to=3",
    "where nothing changed": f"/runs/{RUN}/compare?from=1&to=2",
    "two runs": f"/compare?a={RUN}&b={RUN}",
    "judged, the hardest first": f"/runs/{RUN}/instructions",
    "difficult": f"/runs/{RUN}/instructions?iteration=3&show=difficult",
    "easy": f"/runs/{RUN}/instructions?iteration=3&show=easy",
    "student better than teacher": f"/runs/{RUN}/instructions?iteration=3&show=better",
    "unjudged": f"/runs/{RUN}/instructions?iteration=3&show=unjudged",
    "the whole pool": f"/runs/{RUN}/instructions?iteration=4&show=all",
    "one task type, the hardest": f"/runs/{RUN}/instructions?type=shape",
    "a rare word": f"/runs/{RUN}/instructions?words=harbour",
    "a word of every question": f"/runs/{RUN}/instructions?words=place",
    "a word of none": f"/runs/{RUN}/instructions?words=zebra",
    "rare word, type, difficult": f"/runs/{RUN}/instructions?show=difficult&type=count&words=harbour",
}
NEXT = re.compile(r'rel="next" href="([^"]+)"')
ONE = re.compile(rf'href="(/runs/{RUN}/instructions/\d+)"')


async def prepare(url: str, size: int) -> None:
    engine = connect(url)
    async with engine.begin() as c:
        await fill(c, size)
        for statement in VARIED:
            await execute(c, statement)
    async with Reader(engine).connect() as c:
        await execute(c, "ANALYZE")
    await engine.dispose()


def measured(http: httpx.Client) -> dict[str, Any]:
    """By page, in the order of a first visit."""
    pages = dict(PAGES)
    first = http.get(PAGES["judged, the hardest first"]).text
    pages["one instruction"] = ONE.findall(first)[0]
    pages["a page 40 clicks further"] = _deep(http, PAGES["judged, the hardest first"], 40)
    return {name: _times(http, path) for name, path in pages.items()}


def _deep(http: httpx.Client, path: str, clicks: int) -> str:
    base = path.split("?")[0]
    for _ in range(clicks):
        found = NEXT.search(http.get(path).text)
        if found is None:
            return path
        path = base + found[1].replace("&amp;", "&")
    return path


def _times(http: httpx.Client, path: str) -> dict[str, Any]:
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = http.get(path)
        taken.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
    later = taken[1:]
    return {
        "first_ms": round(taken[0], 1),
        "median_ms": round(statistics.median(later), 1),
        "most_ms": round(max(later), 1),
        "bytes": len(answer.content),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+")
    file = Path(__file__).parent / "baselines" / f"dashboard_pages-{cpu_name()}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for size in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory(prefix="comd-pages-") as name, Place(Path(name), 0) as place:
            asyncio.run(prepare(place.database_url, size))
            place.start_coordinator()
            place.http.headers["accept"] = "text/html"
            load = round(os.getloadavg()[0], 1)
            pages = measured(place.http)
        slow = [page for page, took in pages.items() if took["median_ms"] >= GOAL_MS]
        found[str(size)] = {"iteration": ITERATION, "load": load, "pages": pages, "slower_than_goal": slow}
        file.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({str(size): found[str(size)]}, indent=2), flush=True)


if __name__ == "__main__":
    main()

"""Choosing captions, phrases given: seconds and peak memory by DuckDB, by Ray on this machine, and by pandas.

In: `python -m benchmarks.caption_selection --sizes 1000000 10000000`. Out: a JSON file named by the CPU.
Each way runs in a process of its own on the same parts; memory is the resident set of that process and its children,
read four times a second. All ways must choose the same captions.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.caption_sets import write_parts
from benchmarks.hardware import cpu_name

LEAST, CAP, SEED = 3, 100, 0
PANDAS_GIB, LONGEST_S = 12, 420


def by_duckdb(work: Path, memory_mib: int, cap: int = CAP) -> int:
    from services.trainer.captions.choosing import choose

    return choose(work, min_frequency=LEAST, cap=cap, seed=SEED, memory_mib=memory_mib).pairs_out


def by_duckdb_again(work: Path, memory_mib: int) -> int:
    """Another cap, the phrases counted already."""
    return by_duckdb(work, memory_mib, cap=CAP // 2)


def by_ray(work: Path, memory_mib: int) -> int:
    from services.trainer.captions.on_ray import choose

    return choose(
        work, min_frequency=LEAST, cap=CAP, seed=SEED, memory_mib=memory_mib, address="local"
    ).pairs_out


def by_pandas(work: Path, memory_mib: int) -> int:
    """As one would write it first: all in memory, a hash for each mention of a phrase above the cap."""
    import hashlib

    import pandas as pd

    resource.setrlimit(resource.RLIMIT_AS, (PANDAS_GIB * 2**30, PANDAS_GIB * 2**30))
    captions = pd.concat(pd.read_parquet(part) for part in sorted((work / "captions").glob("*.parquet")))
    captions = captions.sort_values("row").drop_duplicates("id")
    mentions = captions[["id", "row", "phrases"]].explode("phrases").rename(columns={"phrases": "phrase"})
    mentions["frequency"] = mentions.groupby("phrase")["phrase"].transform("size")
    mentions = mentions[mentions["frequency"] >= LEAST]
    often = mentions[mentions["frequency"] > CAP]
    keys = [f"{SEED}|{phrase}|{id}".encode() for phrase, id in zip(often["phrase"], often["id"], strict=True)]
    often = often.assign(rank=[hashlib.sha256(key).hexdigest() for key in keys])
    drawn = often.sort_values("rank").groupby("phrase").head(CAP).drop(columns="rank")
    picked = pd.concat([mentions[mentions["frequency"] <= CAP], drawn])
    reasons = picked.sort_values(["frequency", "phrase"]).drop_duplicates("row")[
        ["row", "phrase", "frequency"]
    ]
    selected = captions.drop(columns="phrases").merge(reasons, on="row").sort_values("row")
    selected.to_parquet(work / "by-pandas.parquet")
    return len(selected)


Way = Callable[[Path, int], int]


def measured(way: Way, work: Path, memory_mib: int) -> dict[str, Any]:
    """Seconds, peak MiB and what it chose; or why it came to no end."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_told, args=(way, work, memory_mib, theirs))
    began, peak = time.monotonic(), 0.0
    process.start()
    theirs.close()
    while not ours.poll(0.25):
        peak = max(peak, _resident_mib(process.pid))
        if time.monotonic() - began > LONGEST_S:
            _end(process.pid)
            return {"failed": f"not done after {LONGEST_S} s", "peak_mib": round(peak)}
    found = _received(ours)
    process.join()
    return {**found, "peak_mib": round(peak), "load": round(os.getloadavg()[0], 1)}


def _told(way: Way, work: Path, memory_mib: int, answer: Connection) -> None:
    began, cpu = time.monotonic(), time.process_time()
    try:
        chosen = way(work, memory_mib)
    except MemoryError:
        answer.send({"failed": f"more than {PANDAS_GIB} GiB"})
        return
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    answer.send({"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "chosen": chosen})


def _received(answer: Connection) -> dict[str, Any]:
    try:
        return dict(answer.recv())
    except EOFError:
        return {"failed": "the process ended without an answer"}


def _resident_mib(pid: int | None) -> float:
    """Proportional shares, so that what Ray's processes share counts once."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


def _end(pid: int | None) -> None:
    for one in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
        one.kill()


def kept(file: Path, size: int, rows: dict[str, Any]) -> None:
    """Added to what the file holds of other sizes."""
    held = json.loads(file.read_text()) if file.exists() else {}
    about = {"cpu": cpu_name(), "cores": os.cpu_count()}
    file.write_text(
        json.dumps({**about, "captions": held.get("captions", {}) | {str(size): rows}}, indent=1) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory-mib", type=int, default=3072)
    parser.add_argument("--ray-up-to", type=int, default=1_000_000, help="captions; Ray is left out above")
    parser.add_argument("--folder", type=Path, help="where to keep the parts for another time")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="caption-selection-"))
    file = Path(__file__).parent / "baselines" / f"caption_selection-{cpu_name()}.json"
    for size in given.sizes:
        work = folder / str(size)
        if not work.exists():
            write_parts(work, size)
        for stale in work.glob("counted-*"):
            stale.unlink()
        ways = [by_duckdb, by_duckdb_again, by_pandas] + [by_ray] * (size <= given.ray_up_to)
        rows = {way.__name__: measured(way, work, given.memory_mib) for way in ways}
        kept(file, size, {"memory_mib": given.memory_mib, **rows})
        print(size, json.dumps(rows, indent=1), flush=True)
        chosen = {
            row["chosen"] for name, row in rows.items() if "chosen" in row and name != "by_duckdb_again"
        }
        if len(chosen) > 1:
            raise SystemExit(f"of {size} captions the ways choose {chosen}")
    if given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

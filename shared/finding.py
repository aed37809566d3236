"""One thing that `comd doctor` looked at: how it is, and what to do where it is not well."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from shared.types import JsonObject

Level = Literal["ok", "warning", "problem"]
LITTLE, VERY_LITTLE = 10 * 2**30, 2**30  # bytes free


@dataclass(frozen=True)
class Finding:
    what: str
    level: Level
    said: str
    todo: str | None = None

    def as_json(self) -> JsonObject:
        return asdict(self)


def ok(what: str, said: str) -> Finding:
    return Finding(what, "ok", said)


def warning(what: str, said: str, todo: str) -> Finding:
    return Finding(what, "warning", said, todo)


def problem(what: str, said: str, todo: str) -> Finding:
    return Finding(what, "problem", said, todo)


def disk(what: str, folder: Path) -> Finding:
    """How much room the folder's disk has; its nearest parent's where it is not there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(there)
    said = f"{usage.free / 2**30:.1f} GiB of {usage.total / 2**30:.1f} free at {folder}"
    if usage.free < VERY_LITTLE:
        return problem(what, said, "free space now: what cannot be written stops the run")
    if usage.free < LITTLE:
        return warning(what, said, "free space before a long run: pictures, answers and checkpoints need it")
    return ok(what, said)


def clock(what: str, ahead_s: float, of: str) -> Finding:
    """A clock that is `ahead_s` of another one's."""
    if abs(ahead_s) < 5:
        return ok(what, f"within {max(1, round(abs(ahead_s)))} s of {of}")
    side = "ahead of" if ahead_s > 0 else "behind"
    said = f"{abs(ahead_s):.0f} s {side} {of}"
    return warning(what, said, "synchronise the machines' clocks (NTP): times in logs and reports do not fit")

"""What of a run goes to trackers. In: the run, its iterations and its usage. Out: parameters, and metrics by step.

Only what stays as it is: the same rows give the same series, whoever looks at them and when.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.coordinator.costs import in_currency
from services.coordinator.tracking.trackers import Record
from shared.types import JsonObject

ENDS = frozenset({"finished", "exhausted", "cancelled", "failed"})
MEASURED = frozenset({"assessing", "trained", "complete"})  # phases before which training and exam are over
LONGEST_NAME, LONGEST_VALUE = 60, 500
COUNTS = {
    "train_loss": "train_loss",
    "heldout_accuracy": "heldout_accuracy",
    "mean_difficulty": "mean_difficulty",
    "tuning_pool": "pools/tuning",
    "cache_pool": "pools/cache",
    "difficult": "selection/difficult",
    "easy": "selection/easy",
    "unjudged": "selection/unjudged",
    "accepted": "candidates/accepted",
    "dropped": "candidates/dropped",
    "rejected": "candidates/rejected",
}
USED = {
    "prompt_tokens": "tokens/{role}/prompt",
    "cached_tokens": "tokens/{role}/cached",
    "completion_tokens": "tokens/{role}/completion",
    "seconds": "engine_seconds/{role}",
}


def parameters(run: JsonObject, rows: Sequence[JsonObject]) -> dict[str, str]:
    """Who the run is, its settings, and by which job names the trainer tracks its steps."""
    about = {key: run[key] for key in ("id", "name", "dataset", "parent_run", "branched_from")}
    jobs = {f"job/{row['number']}": row["job_id"] for row in rows if row["phase"] in MEASURED}
    said = {**{f"run/{key}": value for key, value in about.items()}, **jobs, **dict(_flat(run["config"]))}
    return {name: str(value)[:LONGEST_VALUE] for name, value in said.items() if value is not None}


def records(run: JsonObject, rows: Sequence[JsonObject], used: Sequence[JsonObject]) -> list[Record]:
    """Metrics by iteration, of those whose student is measured; an end of the run settles its last iteration too."""
    ended = run["status"] in ENDS
    found = []
    for row in rows:
        metrics: dict[str, float] = {}
        if ended or row["phase"] in MEASURED:
            metrics |= _of_iteration(row)
        if ended or row["phase"] == "complete":
            metrics |= dict(_of_usage(sums for sums in used if sums["iteration"] == row["number"]))
        if metrics:
            found.append(Record(step=row["number"], metrics=metrics))
    return found


def unsent(found: Iterable[Record], sent: Iterable[Record]) -> list[Record]:
    """Those that are new, or have another value than was sent last."""
    known: dict[int, dict[str, float]] = {}
    for record in sent:
        known.setdefault(record["step"], {}).update(record["metrics"])
    left = []
    for record in found:
        before = known.get(record["step"], {})
        metrics = {name: value for name, value in record["metrics"].items() if before.get(name) != value}
        if metrics:
            left.append(Record(step=record["step"], metrics=metrics))
    return left


def _of_iteration(row: JsonObject) -> dict[str, float]:
    metrics = {name: row[key] for key, name in COUNTS.items() if row[key] is not None}
    for kind, share in (row["heldout_by_kind"] or {}).items():
        metrics[f"heldout_accuracy/{_name(kind)}"] = share
    for phase, seconds in row["seconds"].items():
        metrics[f"seconds/{phase}"] = seconds
    return {name: float(value) for name, value in metrics.items()}


def _of_usage(sums: Iterable[JsonObject]) -> Iterator[tuple[str, float]]:
    for one in sums:
        for key, name in USED.items():
            yield name.format(role=one["role"]), float(one[key])
        yield f"cost/{one['role']}", in_currency(one["cost_nanos"])


def _name(kind: str) -> str:
    """A kind of question as part of a metric's name: what every tracker takes."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", kind)[:LONGEST_NAME]


def _flat(settings: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value

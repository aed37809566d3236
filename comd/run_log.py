"""The event log in plain words. In: an entry as the coordinator gives it. Out: a line."""

from collections.abc import Callable
from typing import Any

from comd.printable import printable
from services.coordinator.api.shapes import Failure, LogEntry

Json = dict[str, Any]


def line(entry: LogEntry) -> str:
    """Time, action, what it was about, and who or what brought it about."""
    at = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    action = entry.action.replace("_", " ")
    about = TELL[entry.action](entry.detail) if entry.action in TELL else ""
    because = "" if entry.cause == "the coordinator" else entry.cause
    return printable(f"{at}  {action:<20}  {'; '.join(part for part in (about, because) if part)}".rstrip())


def failure_line(row: Failure) -> str:
    """Where it failed, after how many attempts, why, and what."""
    what = f"image {row.image or '(none)'}" if row.instruction_id is None else repr(row.text)
    tries = f"{row.attempts} attempt{'' if row.attempts == 1 else 's'}"
    return printable(f"iteration {row.iteration}  {row.phase}  {what}: {row.reason} ({tries})")


def _moved(detail: Json) -> str:
    ending = detail.get("ending") or {}
    failed = f", {ending['failed']:,} of {ending['items']:,} failed" if ending.get("failed") else ""
    spent = "" if detail["before"] == "trained" else f" ({detail['seconds']:.1f} s{failed})"
    return f"iteration {detail['iteration']}: {detail['before']}{spent} -> {detail['phase']}"


def _begun(detail: Json) -> str:
    begun = f"iteration {detail['iteration']}: {detail['phase']}"
    if detail["tuning_pool"] is None:
        return begun
    return f"{begun}, tuning pool {detail['tuning_pool']:,}, cache pool {detail['cache_pool']:,}"


def _engines(detail: Json) -> str:
    named = {
        role: f"{spec['model']} at {spec['base_url']}" if spec else "its service's own"
        for role, spec in detail["engines"].items()
    }
    return ", ".join(f"{role}: {name}" for role, name in named.items())


def _prices(detail: Json) -> str:
    said = [
        f"{role} {price['prompt']:g} / {price['completion']:g}" for role, price in detail["prices"].items()
    ]
    return ", ".join(said) or "none"


TELL: dict[str, Callable[[Json], str]] = {
    "created": lambda detail: (
        f"{detail['model']} on benchmark {detail['benchmark']}"
        if "benchmark" in detail  # it is an evaluation
        else f"on data set {detail['dataset']}"
    ),
    "benchmark_registered": lambda detail: (
        f"{detail['dataset']}: {detail['kind']}, {detail['items']:,} questions"
    ),
    "branched": lambda detail: f"from {detail['parent_run']} after training {detail['iteration']}",
    "branch": lambda detail: f"{detail['child']}, after training {detail['from_iteration']}",
    "trainings_added": lambda detail: f"{detail['count']:+}, {detail['target']} in all",
    "iteration_begun": _begun,
    "phase_moved": _moved,
    "judge_fixed": lambda detail: f"iteration {detail['iteration']}: {detail['judge']['revision']}",
    "selection_made": lambda detail: (
        f"iteration {detail['iteration']}: {detail['difficult']:,} difficult, {detail['easy']:,} easy, "
        f"{detail['unjudged']:,} unjudged at tau {detail['tau']:g}"
    ),
    "engines_swapped": _engines,
    "prices_changed": _prices,
    "budget_changed": lambda detail: (
        "no limit" if detail["limit"] is None else f"{detail['limit']:.2f} {detail['currency']}"
    ),
    "failures_asked_about": lambda detail: (
        f"iteration {detail['iteration']}, {detail['phase']}: {detail['failed']:,} of {detail['items']:,} failed"
    ),
    "retry": lambda detail: (
        f"iteration {detail['iteration']}, {detail['phase']}: {detail['items']:,} are asked again"
    ),
    "tracking_failed": lambda detail: f"metrics do not arrive at {detail['tracker']}; it is tried again",
    "tracking_recovered": lambda detail: f"metrics arrive at {detail['tracker']} again",
    "assessment_restarted": lambda detail: f"iteration {detail['iteration']}",
}

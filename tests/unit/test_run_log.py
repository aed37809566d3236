"""The event log as a person reads it."""

import re
from typing import Any

import pytest

from comd import run_log
from services.coordinator.api.shapes import LogEntry

SPEC = {"base_url": "http://a", "model": "m"}


def entry(action: str, cause: str = "the coordinator", **detail: Any) -> LogEntry:
    at = "2026-01-02T03:04:05.678+00:00"
    told = {"id": 1, "run_id": "r", "at": at, "action": action, "cause": cause, "detail": detail}
    return LogEntry.model_validate(told)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (entry("created", "asked for by anna", dataset="d"), "created  on data set d; asked for by anna"),
        (entry("created", benchmark="b", model="m", settings={}), "created  m on benchmark b"),
        (
            entry("benchmark_registered", dataset="b", kind="scienceqa", items=4241),
            "benchmark registered  b: scienceqa, 4,241 questions",
        ),
        (entry("trainings_added", count=2, target=6), "trainings added  +2, 6 in all"),
        (
            entry("iteration_begun", iteration=2, phase="teaching", tuning_pool=1000, cache_pool=2500),
            "iteration begun  iteration 2: teaching, tuning pool 1,000, cache pool 2,500",
        ),
        (
            entry("iteration_begun", iteration=0, phase="complete", tuning_pool=None, cache_pool=None),
            "iteration begun  iteration 0: complete",
        ),
        (
            entry(
                "phase_moved",
                iteration=1,
                before="teaching",
                phase="training",
                seconds=12.34,
                ending={"failed": 3, "items": 1200},
            ),
            "phase moved  iteration 1: teaching (12.3 s, 3 of 1,200 failed) -> training",
        ),
        (
            entry("engines_swapped", engines={"teacher": SPEC, "assessor": None}),
            "engines swapped  teacher: m at http://a, assessor: its service's own",
        ),
        (entry("budget_changed", limit=5.0, currency="EUR"), "budget changed  5.00 EUR"),
        (entry("prices_changed", prices={}), "prices changed  none"),
        (entry("paused", "the budget is used up", status="paused"), "paused  the budget is used up"),
        (entry("of_a_later_version"), "of a later version"),
        (entry("paused", "no \x1b[2Jreply\nat all"), "paused  no \\x1b[2Jreply at all"),
    ],
)
def test_lines(given: LogEntry, said: str) -> None:
    told = run_log.line(given)
    assert re.match(r"2026-01-0\d \d\d:04:05  ", told)
    assert re.sub(r" {2,}", "  ", told[21:]) == said

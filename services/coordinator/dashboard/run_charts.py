"""The charts of a run. Pure.

In: its iterations, the sums of their verdicts, why attempts were rejected. Out: charts.
"""

from collections.abc import Mapping, Sequence

from services.coordinator.dashboard.charts import Chart, bars, lines
from shared.types import JsonObject

SCORES = [str(score) for score in range(1, 11)]
TENTHS = [f".{tenth}" for tenth in range(10)]
SMALL = (300, 160)
MOST_KINDS, MOST_REASONS = 7, 6


def curves(rows: Sequence[JsonObject]) -> list[Chart]:
    """Accuracy and loss by iteration, where they were measured."""
    measured = [row for row in rows if row["heldout_accuracy"] is not None]
    trained = [row for row in rows if row["train_loss"] is not None]
    found = []
    if measured:
        kinds = sorted({kind for row in measured for kind in row["heldout_by_kind"] or {}})[:MOST_KINDS]
        series: dict[str, list[float | None]] = {"all": [row["heldout_accuracy"] for row in measured]}
        if len(kinds) > 1:
            series |= {kind: [(row["heldout_by_kind"] or {}).get(kind) for row in measured] for kind in kinds}
        found.append(
            lines("Held-out accuracy by iteration", series, _names(measured), unit="share", most=1.0)
        )
    if trained:
        losses = {"training loss": [row["train_loss"] for row in trained]}
        found.append(lines("Training loss by iteration", losses, _names(trained)))
    return found


def outcomes(
    sums: Mapping[int, JsonObject], rows: Sequence[JsonObject], rejected: Mapping[int, Mapping[str, int]]
) -> list[Chart]:
    """What the judge found, and what became of the augmentor's attempts, by iteration."""
    found = []
    if sums:
        names = [str(number) for number in sums]
        judged = {what: [one[what] for one in sums.values()] for what in ("difficult", "easy", "unjudged")}
        found.append(bars("Judged: difficult, easy, unjudged", judged, names, stacked=True))
    written = [row for row in rows if row["accepted"] is not None]
    if written:
        attempts: dict[str, list[float | None]] = {"accepted": [row["accepted"] for row in written]}
        for reason in _commonest(rejected):
            attempts[reason] = [rejected.get(row["number"], {}).get(reason, 0) for row in written]
        found.append(bars("Augmentor: accepted, or why not", attempts, _names(written), stacked=True))
    return found


def distributions(number: int, sums: JsonObject, tau: float) -> list[Chart]:
    """Of one assessment: difficulty, and both roles' scores."""
    scores = {"teacher": sums["teacher"], "student": sums["student"]}
    difficulty = {"instructions": sums["difficulty"]}
    return [
        bars(f"Iteration {number}: difficulty", difficulty, TENTHS, mark=tau, size=SMALL),
        bars(f"Iteration {number}: scores", scores, SCORES, size=SMALL),
    ]


def _names(rows: Sequence[JsonObject]) -> list[str]:
    return ["start" if row["number"] == 0 else str(row["number"]) for row in rows]


def _commonest(rejected: Mapping[int, Mapping[str, int]]) -> list[str]:
    totals: dict[str, int] = {}
    for reasons in rejected.values():
        for reason, num in reasons.items():
            totals[reason] = totals.get(reason, 0) + num
    return sorted(totals, key=lambda reason: (-totals[reason], reason))[:MOST_REASONS]

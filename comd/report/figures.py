"""The figures of a run. In: the coordinator's report and the points of its trainings. Out: those with data to show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from comd.report import benchmarks
from comd.report.benchmarks import Measured
from comd.report.figure import Figure, Panel, Point
from comd.report.wording import label

Report = Mapping[str, Any]
Row = Mapping[str, Any]
Curves = Mapping[int, Sequence[Row]]  # by iteration: step, loss and learning rate, the oldest first

ALL = "all kinds"
SCORE_BINS = [str(score) for score in range(1, 11)]
DIFFICULTY_BINS = [f".{tenth}" for tenth in range(10)]
MOST_REASONS = 5  # with a colour of their own
TOKENS = {"prompt_tokens": "prompt", "completion_tokens": "completion"}


def figures(report: Report, curves: Curves, measured: Sequence[Measured] = ()) -> list[Figure]:
    """In the order of a reader's questions; one that would be empty is left out."""
    rows = report["iterations"]
    made = [
        heldout_accuracy(rows),
        benchmarks.figure(measured),
        training("training", "Training loss and learning rate", {n: c for n, c in curves.items() if n > 0}),
        training("stage1", "Stage 1: loss and learning rate", {n: c for n, c in curves.items() if n == 0}),
        difficulty(rows, report["tau"]),
        scores(rows),
        verdicts(rows),
        candidates(rows),
        pools(rows),
        usage(report),
    ]
    return [figure for figure in made if figure.rows]


def heldout_accuracy(rows: Sequence[Row]) -> Figure:
    """The paper's figure 4: the mean, and each kind of question."""
    measured = [row for row in rows if row.get("heldout_accuracy") is not None]
    lines = {ALL: [(float(row["number"]), float(row["heldout_accuracy"])) for row in measured]}
    for kind in sorted({kind for row in measured for kind in row.get("heldout_by_kind") or {}}):
        found = ((row["number"], (row["heldout_by_kind"] or {}).get(kind)) for row in measured)
        lines[kind] = [(float(number), float(share)) for number, share in found if share is not None]
    panel = Panel(
        "iteration",
        "held-out accuracy (share)",
        lines={name if name == ALL else label(name): points for name, points in lines.items()},
        main=ALL,
        at=[float(row["number"]) for row in measured],
        top=1.0,
    )
    numbers = [(int(at), kind, share) for kind, points in lines.items() for at, share in points]
    note = (
        "Thick: the mean over all kinds of question, on pictures that were never trained on. Thin: each kind."
    )
    columns = ("iteration", "kind", "accuracy")
    return Figure("heldout_accuracy", "Held-out accuracy by iteration", [panel], columns, numbers, note)


def training(name: str, title: str, curves: Curves) -> Figure:
    """Loss and learning rate by step; the steps of one training are counted on behind those of the one before."""
    losses, rates = dict[str, list[Point]](), dict[str, list[Point]]()
    numbers: list[tuple[int, int, float, float]] = []
    before = 0
    for number, found in sorted(curves.items()):
        points = [row for row in found if row["loss"] is not None and row["learning_rate"] is not None]
        if points:
            losses[f"iteration {number}"] = [(before + row["step"], row["loss"]) for row in points]
            rates[f"iteration {number}"] = [(before + row["step"], row["learning_rate"]) for row in points]
            numbers += [(number, row["step"], row["loss"], row["learning_rate"]) for row in points]
            before += points[-1]["step"]
    across = "training step, all iterations" if len(losses) > 1 else "training step"
    panels = [
        Panel(across, "loss (nats per token)", lines=losses),
        Panel(across, "learning rate", lines=rates),
    ]
    return Figure(name, title, panels, ("iteration", "step", "loss", "learning_rate"), numbers)


def difficulty(rows: Sequence[Row], tau: float) -> Figure:
    """A panel an iteration, with the threshold."""
    panels, numbers = [], list[tuple[int, float, float, int]]()
    for row in rows:
        if bins := row.get("difficulty_histogram"):
            bars = {"instructions": bins}
            title = f"iteration {row['number']}"
            mark = (tau, f"τ = {tau:g}")
            panels.append(
                Panel("difficulty", "instructions", title, slots=DIFFICULTY_BINS, bars=bars, mark=mark)
            )
            numbers += [(row["number"], at / 10, (at + 1) / 10, count) for at, count in enumerate(bins)]
    note = f"Right of the dashed line (τ = {tau:g}) an instruction counts as difficult."
    columns = ("iteration", "from", "to", "instructions")
    return Figure("difficulty", "Difficulty by iteration", panels, columns, numbers, note)


def scores(rows: Sequence[Row]) -> Figure:
    panels, numbers = [], list[tuple[int, int, int, int]]()
    for row in rows:
        if bars := row.get("score_histogram"):
            panels.append(
                Panel(
                    "judge's score",
                    "instructions",
                    f"iteration {row['number']}",
                    slots=SCORE_BINS,
                    bars={role: bars[role] for role in ("teacher", "student")},
                )
            )
            both = enumerate(zip(bars["teacher"], bars["student"], strict=True))
            numbers += [(row["number"], at + 1, teacher, student) for at, (teacher, student) in both]
    note = "The mean of both orders of the answers, rounded down."
    columns = ("iteration", "score", "teacher", "student")
    return Figure("scores", "Scores of teacher and student by iteration", panels, columns, numbers, note)


def verdicts(rows: Sequence[Row]) -> Figure:
    kinds = ("difficult", "easy", "unjudged")
    judged = [row for row in rows if row.get("verdicts")]
    bars = {kind: [row["verdicts"][kind] for row in judged] for kind in kinds}
    panel = _by_iteration("instructions", judged, bars, stacked=True)
    numbers = [(row["number"], *(row["verdicts"][kind] for kind in kinds)) for row in judged]
    return Figure("verdicts", "Verdicts by iteration", [panel], ("iteration", *kinds), numbers)


def candidates(rows: Sequence[Row]) -> Figure:
    """Accepted, and rejected by reason; the reasons beyond the commonest count together."""
    augmented = [row for row in rows if row.get("accepted") is not None]
    totals = Counter[str]()
    for row in augmented:
        totals.update(row.get("rejected_by_reason") or {})
    commonest = [reason for reason, _ in totals.most_common(MOST_REASONS)]
    bars = {"accepted": [row["accepted"] for row in augmented]}
    for reason in commonest:
        bars[label(reason)] = [(row.get("rejected_by_reason") or {}).get(reason, 0) for row in augmented]
    if len(totals) > MOST_REASONS:
        rest = [reason for reason in totals if reason not in commonest]
        bars["other reasons"] = [sum(row["rejected_by_reason"].get(r, 0) for r in rest) for row in augmented]
    numbers = [
        (row["number"], outcome, count)
        for row in augmented
        for outcome, count in {"accepted": row["accepted"], **(row.get("rejected_by_reason") or {})}.items()
    ]
    panel = _by_iteration("attempts of the augmentor", augmented, bars, stacked=True)
    columns = ("iteration", "outcome", "attempts")
    return Figure("candidates", "Candidates by outcome", [panel], columns, numbers)


def pools(rows: Sequence[Row]) -> Figure:
    filled = [row for row in rows if row.get("tuning_pool") is not None]
    bars = {name: [row[f"{name}_pool"] for row in filled] for name in ("tuning", "cache")}
    numbers = [(row["number"], row["tuning_pool"], row["cache_pool"]) for row in filled]
    panel = _by_iteration("instructions", filled, bars)
    return Figure("pools", "Pools by iteration", [panel], ("iteration", "tuning", "cache"), numbers)


def usage(report: Report) -> Figure:
    """Tokens, seconds with the engines, and money, by role."""
    found = report.get("usage") or {"by_role": {}, "currency": "USD"}
    by_role, currency = found["by_role"], label(found["currency"])
    roles = list(by_role)

    def sums(key: str, scale: float = 1) -> list[float]:
        return [by_role[role][key] / scale for role in roles]

    tokens = {name: sums(key, 1000) for key, name in TOKENS.items()}
    panels = [
        Panel("role", "tokens (thousands)", slots=roles, bars=tokens, stacked=True),
        Panel("role", "time with the engine (s)", slots=roles, bars={"seconds": sums("seconds")}),
        Panel("role", f"cost ({currency})", slots=roles, bars={"cost": sums("cost")}),
    ]
    keys = ("items", "calls", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost")
    numbers = [(role, *(by_role[role][key] for key in keys), found["currency"]) for role in roles]
    return Figure("usage", "Tokens, time and money by role", panels, ("role", *keys, "currency"), numbers)


def _by_iteration(
    counted: str, rows: Sequence[Row], bars: Mapping[str, Sequence[float]], stacked: bool = False
) -> Panel:
    slots = [str(row["number"]) for row in rows]
    return Panel("iteration", counted, slots=slots, bars=bars, stacked=stacked)

"""What happened, in plain words and as table rows. In: the coordinator's report of a run. Out: text."""

from collections.abc import Mapping, Sequence
from typing import Any

from comd.report.wording import label

Iteration = Mapping[str, Any]

COLUMNS = {  # of the report's iterations: their key and the column's name
    "number": "iteration",
    "tuning_pool": "tuning pool",
    "cache_pool": "cache pool",
    "difficult": "difficult",
    "easy": "easy",
    "accepted": "accepted",
    "rejected": "rejected",
    "unjudged": "unjudged",
    "mean_difficulty": "mean difficulty",
    "train_loss": "train loss",
    "heldout_accuracy": "held-out accuracy",
}
PHASES = ("teaching", "training", "evaluating", "assessing", "augmenting")  # those that take time
UNJUDGED_WARNING = 0.02  # a person should look when more than this share of verdicts is missing


def rows(iterations: Sequence[Iteration]) -> list[list[str]]:
    """One row per iteration, then the seconds of each phase; what an iteration does not have is a dash."""
    return [
        [*(number(iteration.get(key)) for key in COLUMNS), *(seconds(iteration, phase) for phase in PHASES)]
        for iteration in iterations
    ]


def number(value: Any) -> str:
    """A count with thousands apart, a share with three digits, a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


def seconds(iteration: Iteration, phase: str) -> str:
    """The whole seconds that a phase took; the training before the loop is stage 1's."""
    spent = iteration.get("seconds") or {}
    if phase == "training" and "pretraining" in spent:
        phase = "pretraining"
    return f"{spent[phase]:.0f}" if phase in spent else "-"


def opening(report: Mapping[str, Any]) -> str:
    """Where the run stands, in a sentence or two."""
    run, iterations = report["run"], report["iterations"]
    trained = sum(
        iteration["number"] > 0 and iteration.get("train_loss") is not None for iteration in iterations
    )
    because = f": {run['reason']}" if run.get("reason") else ""
    said = (
        f"Run {label(run['name'], 100)} is {run['status']} after {trained} of {run['target']} training"
        f"{'' if run['target'] == 1 else 's'}{because}."
    )
    if report["final_accuracy"] is None:
        said += " Held-out accuracy has not been measured."
    return said if iterations else f"{said} It has not begun: there is nothing to show yet."


def failures(iterations: Sequence[Iteration]) -> list[list[str]]:
    """A row for each phase in which something failed: iteration, phase, failed of how many, the commonest reasons."""
    found = []
    for iteration in iterations:
        for phase, ended in (iteration.get("endings") or {}).items():
            if ended["failed"]:
                reasons = "; ".join(f"{row['failed']:,} x {row['reason']}" for row in ended["reasons"])
                share = f"{ended['failed']:,} of {ended['items']:,}"
                found.append([f"{iteration['number']}", phase, share, reasons])
    return found


def tell(iteration: Iteration, before: Iteration | None) -> list[str]:
    """What one iteration did, a sentence a line."""
    return [*_tell_work(iteration, before), *_tell_failures(iteration)]


def _tell_work(iteration: Iteration, before: Iteration | None) -> list[str]:
    if iteration["number"] == 0:
        return _tell_start(iteration)
    if iteration.get("train_loss") is None:
        return [
            f"Iteration {iteration['number']} has {number(iteration.get('tuning_pool'))} instructions to train on."
        ]
    said = [
        f"Iteration {iteration['number']}: the teacher answered {number(iteration.get('tuning_pool'))} instructions "
        f"and the student trained on the answers (loss {number(iteration.get('train_loss'))})."
    ]
    if iteration.get("heldout_accuracy") is not None:
        said.append(f"Held-out accuracy is {iteration['heldout_accuracy']:.3f}{_change(iteration, before)}.")
    if iteration.get("difficult") is not None:
        said += _tell_competition(iteration)
    return said


def _tell_start(iteration: Iteration) -> list[str]:
    said = []
    if "pretraining" in (iteration.get("seconds") or {}):
        said.append(
            f"Stage 1: the projector learnt from captions (loss {number(iteration.get('train_loss'))})."
        )
    if iteration.get("heldout_accuracy") is not None:
        said.append(f"Before the loop, held-out accuracy is {iteration['heldout_accuracy']:.3f}.")
    return said


def _tell_competition(iteration: Iteration) -> list[str]:
    said = [
        f"The judge compared both answers to all {number(iteration.get('cache_pool'))} instructions: "
        f"{number(iteration['difficult'])} are difficult for the student "
        f"(mean difficulty {number(iteration.get('mean_difficulty'))})."
    ]
    unjudged, pool = iteration.get("unjudged") or 0, iteration.get("cache_pool") or 1
    if unjudged > UNJUDGED_WARNING * pool:
        said.append(f"Warning: {number(unjudged)} verdicts could not be read ({unjudged / pool:.1%}).")
    if iteration.get("accepted") is not None:
        said.append(
            f"From these and {number(iteration.get('easy'))} easy ones the augmentor wrote "
            f"{number(iteration['accepted'])} new instructions; {number(iteration.get('rejected'))} attempts "
            f"were turned away as invalid or not novel, and {number(iteration.get('dropped'))} parents gave none."
        )
    return said


def _tell_failures(iteration: Iteration) -> list[str]:
    return [f"{share} failed in {phase}: {reasons}." for _, phase, share, reasons in failures([iteration])]


def _change(iteration: Iteration, before: Iteration | None) -> str:
    if before is None or before.get("heldout_accuracy") is None:
        return ""
    return f" ({iteration['heldout_accuracy'] - before['heldout_accuracy']:+.3f})"

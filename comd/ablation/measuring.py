"""What is kept of an arm that ended. In: the coordinator, a run. Out: its iterations and every held-out item's bit."""

from collections import defaultdict

from comd.ablation.results import Items, Measured, Outcome
from comd.client import Client
from services.coordinator.api.instruction_shapes import HeldoutItem
from services.coordinator.api.shapes import Iteration, Run


def outcome_of(client: Client, run: Run, seed: int, arm: str, seconds: float) -> tuple[Outcome, list[Items]]:
    """The outcome, and a line of items for each iteration that was measured."""
    found = [one for one in client.runs.iterations(run.id) if one.heldout_accuracy is not None]
    items = [
        Items(seed, arm, one.number, right_by_kind(list(client.runs.heldout(run.id, one.number))))
        for one in found
    ]
    shares = run.parent_run is not None
    measured = [_measured(one) for one in found]
    return Outcome(seed, arm, run.status, run.reason, shares, round(seconds, 1), measured), items


def right_by_kind(items: list[HeldoutItem]) -> dict[str, str]:
    """A sign for each question, kinds and questions in the order of their names; an unanswered one is wrong."""
    signs = defaultdict[str, str](str)
    for item in sorted(items, key=lambda item: (item.task_type, item.dialogue, item.turn)):
        signs[item.task_type] += "1" if item.correct else "0"
    return dict(signs)


def _measured(iteration: Iteration) -> Measured:
    assert iteration.heldout_accuracy is not None, "only measured iterations are kept"
    return Measured(
        number=iteration.number,
        accuracy=iteration.heldout_accuracy,
        by_kind=dict(iteration.heldout_by_kind or {}),
        tuning_pool=iteration.tuning_pool,
        cache_pool=iteration.cache_pool,
        steps=(iteration.training or {}).get("total_steps"),
        difficult=iteration.difficult,
        easy=iteration.easy,
        accepted=iteration.accepted,
    )

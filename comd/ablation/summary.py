"""What an ablation says. In: results with their items. Out: rows of means, intervals and paired differences. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from comd.ablation.intervals import Interval, Right, mean_accuracy, mean_difference
from comd.ablation.results import Outcome, Results


@dataclass(frozen=True)
class Row:
    """One arm: its last student, beside the base's last on the same questions (None: it is the base)."""

    arm: str
    stands_for: str
    accuracy: Interval
    difference: Interval | None
    exhausted: int  # seeds that ended before their last training
    trainings: tuple[int, int]  # fewest and most of its seeds
    pool: float  # instructions of a later training, on average
    steps: float  # of a later training, on average


@dataclass(frozen=True)
class Step:
    """One iteration of the base arm; the difference is to the iteration before."""

    iteration: int
    accuracy: Interval
    difference: Interval | None


@dataclass(frozen=True)
class Summary:
    title: str
    seeds: int
    arms: list[Row]
    iterations: list[Step]


def summary(results: Results) -> Summary:
    """Of the seeds in which an arm has ended; an arm that has in none is left out."""
    plan = results.ablation
    right = {(one.seed, one.arm, one.iteration): one.right for one in results.items}
    rows = [_row(results, right, arm.name, arm.stands_for) for arm in plan.arms if results.of(arm.name)]
    base = results.of(plan.base.name)
    seeds = len({one.seed for one in results.outcomes})
    return Summary(plan.title, seeds, rows, _steps(base, right, plan.base.name))


def _row(results: Results, right: Mapping[tuple[int, str, int], Right], arm: str, stands_for: str) -> Row:
    own = results.of(arm)
    base = {one.seed: one for one in results.of(results.ablation.base.name)}
    last = [right[one.seed, arm, one.last] for one in own]
    difference = None
    if arm != results.ablation.base.name:
        both = [one for one in own if one.seed in base]
        theirs = [right[one.seed, results.ablation.base.name, base[one.seed].last] for one in both]
        ours = [right[one.seed, arm, one.last] for one in both]
        difference = mean_difference(ours, theirs) if both else None
    later = [row for one in own for row in one.iterations if row.number > 1]
    return Row(
        arm,
        stands_for,
        mean_accuracy(last),
        difference,
        sum(one.ended == "exhausted" for one in own),
        (min(one.last for one in own), max(one.last for one in own)),
        _mean([row.tuning_pool or 0 for row in later]),
        _mean([row.steps or 0 for row in later]),
    )


def _steps(base: list[Outcome], right: Mapping[tuple[int, str, int], Right], name: str) -> list[Step]:
    steps: list[Step] = []
    for number in sorted({row.number for one in base for row in one.iterations}):
        seeds = [one.seed for one in base if (one.seed, name, number) in right]
        now = [right[seed, name, number] for seed in seeds]
        before = [right.get((seed, name, number - 1), {}) for seed in seeds]
        difference = mean_difference(now, before) if all(before) else None
        steps.append(Step(number, mean_accuracy(now), difference))
    return steps


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0

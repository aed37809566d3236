"""Two runs, or two assessments, beside each other: nothing of either is lost where the other has none."""

from typing import Any

from services.coordinator.dashboard.compare_charts import by_iteration, curves, differing, distributions


def row(number: int, **more: Any) -> dict[str, Any]:
    columns = ("heldout_accuracy", "train_loss", "mean_difficulty", "accepted", "spent")
    return {"number": number, **dict.fromkeys(columns), **more}


def test_every_iteration_of_either_run_has_its_place() -> None:
    rounds = by_iteration([row(0), row(1)], [row(1), row(2)])
    assert [(one["number"], one["a"] is not None, one["b"] is not None) for one in rounds] == [
        (0, True, False),
        (1, True, True),
        (2, False, True),
    ]


def test_curves_are_drawn_of_what_either_has() -> None:
    rounds = by_iteration(
        [row(0, heldout_accuracy=0.5), row(1, heldout_accuracy=0.75)],
        [row(1, heldout_accuracy=0.25, spent=2.0)],
    )
    accuracy, cost = curves(("one", "two"), rounds)
    assert accuracy.summary == "one: start 50.0 %, 1 75.0 %; two: 1 25.0 %"
    assert cost.summary == "one: ; two: 1 2.000"


def test_assessments_stand_beside_each_other() -> None:
    sums = {what: [0] * 9 + [count] for count, what in enumerate(("difficulty", "student", "teacher"), 3)}
    charts = distributions(("iteration 1", "iteration 2"), (sums, sums))
    assert [len(chart.bars) for chart in charts] == [2, 2, 2]
    assert [bar.tip for bar in charts[0].bars] == [".9, iteration 1: 3", ".9, iteration 2: 3"]
    assert [len(chart.bars) for chart in distributions(("a", "b"), (None, sums))] == [1, 1, 1]
    assert distributions(("a", "b"), (None, None)) == []


def test_settings_differ_by_their_keys() -> None:
    ours = {"tau": 0.3, "seed": 1, "training": {"epochs": 1, "batch_size": 16}, "budget": None}
    theirs = {"tau": 0.5, "seed": 1, "training": {"epochs": 2, "batch_size": 16}, "budget": {"limit": 5}}
    assert differing(ours, theirs) == [
        ("budget.limit", None, 5),
        ("tau", 0.3, 0.5),
        ("training.epochs", 1, 2),
    ]
    assert differing(ours, ours) == []

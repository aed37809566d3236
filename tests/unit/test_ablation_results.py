"""What is stored of an ablation: it comes back, and table and summary follow from its items alone."""

import csv
import json
from pathlib import Path

import pytest

from comd.ablation.intervals import accuracy
from comd.ablation.plan import Ablation
from comd.ablation.results import Items, Measured, Outcome, Results, begin, load
from comd.ablation.summary import Summary, summary
from comd.ablation.tables import markdown, write_tables
from shared.errors import ConfigError

COMMITTED = [path.parent for path in (Path(__file__).parents[2] / "benchmarks").glob("*/results.json")]
PLAN = Ablation.model_validate(
    {
        "title": "Two arms",
        "seeds": 2,
        "world": {"pictures": 4, "heldout_per_kind": 4},
        "run": {"trainings": 2, "evaluation": {"dataset": "heldout"}},
        "arms": [
            {"name": "base", "stands_for": "the base"},
            {"name": "other", "stands_for": "another tau", "changes": {"tau": 1.0}},
        ],
    }
)
RIGHT = {  # by seed, arm and iteration, of two kinds with four questions each
    (0, "base", 0): ("0000", "0000"),
    (0, "base", 1): ("1100", "1000"),
    (0, "base", 2): ("1111", "1010"),
    (0, "other", 0): ("0000", "0000"),
    (0, "other", 1): ("1100", "1000"),
    (1, "base", 0): ("0000", "0001"),
    (1, "base", 1): ("1000", "0001"),
    (1, "base", 2): ("1110", "0001"),
    (1, "other", 0): ("0000", "0001"),
    (1, "other", 1): ("1000", "0001"),
    (1, "other", 2): ("1100", "1111"),
}


def made() -> Results:
    """The other arm ended in seed 0 after its first training."""
    results = Results(PLAN)
    for seed in (0, 1):
        for arm in ("base", "other"):
            items = [
                Items(seed, arm, number, dict(zip(("a", "b"), right, strict=True)))
                for (s, name, number), right in RIGHT.items()
                if (s, name) == (seed, arm)
            ]
            ended = "finished" if len(items) == 3 else "exhausted"
            outcome = Outcome(seed, arm, ended, None, arm == "other", 1.0, [_measured(one) for one in items])
            results.add(outcome, items)
    return results


def _measured(items: Items) -> Measured:
    by_kind = {kind: signs.count("1") / len(signs) for kind, signs in items.right.items()}
    pool = 10 * items.iteration or None
    return Measured(items.iteration, sum(by_kind.values()) / 2, by_kind, pool, pool, 7, 1, 1, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made().save(tmp_path)
    return tmp_path


def test_what_is_stored_comes_back(folder: Path) -> None:
    assert load(folder) == made()


def test_every_stored_accuracy_follows_from_its_items(folder: Path) -> None:
    results = load(folder)
    items = {(one.seed, one.arm, one.iteration): one.right for one in results.items}
    for outcome in results.outcomes:
        for row in outcome.iterations:
            assert accuracy(items[outcome.seed, outcome.arm, row.number]) == pytest.approx(row.accuracy)


def test_the_summary_by_hand(folder: Path) -> None:
    """Final accuracies: base 0.75 and 0.5; other 0.375, where it was exhausted, and 0.75."""
    found = summary(load(folder))
    base, other = found.arms
    assert base.accuracy.value == pytest.approx((0.75 + 0.5) / 2)
    assert base.difference is None
    assert other.accuracy.value == pytest.approx((0.375 + 0.75) / 2)
    assert other.difference is not None
    assert other.difference.value == pytest.approx(((0.375 - 0.75) + (0.75 - 0.5)) / 2)
    assert (other.exhausted, other.trainings, base.exhausted) == (1, (1, 2), 0)
    assert [step.accuracy.value for step in found.iterations] == pytest.approx([0.0625, 0.3125, 0.625])
    assert [step.difference and step.difference.value for step in found.iterations[1:]] == pytest.approx(
        [0.25, 0.3125]
    )
    assert (base.pool, other.pool) == (20.0, 20.0), "of the later trainings alone"


def test_the_tables_say_what_the_summary_says(folder: Path) -> None:
    found = summary(load(folder))
    write_tables(found, folder)
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arm"] for row in rows] == ["base", "other"]
    assert [float(row["accuracy"]) for row in rows] == pytest.approx([0.625, 0.5625], abs=5e-5)
    assert rows[0]["difference"] == ""
    text = (folder / "table.md").read_text()
    assert "exhausted in 1 seeds, after 1 to 2 trainings" in text
    assert "| base | the base | 20 | 7 | 0.625 [" in text


def test_items_alone_decide(folder: Path) -> None:
    """A bit that is turned turns the table; numbers beside them do not."""
    before = markdown(summary(load(folder)))
    told = json.loads((folder / "results.json").read_text())
    told["outcomes"][0]["iterations"][2]["accuracy"] = 0.1
    (folder / "results.json").write_text(json.dumps(told))
    assert markdown(summary(load(folder))) == before
    items = (folder / "items.jsonl").read_text()
    (folder / "items.jsonl").write_text(items.replace('"a":"1111","b":"1010"', '"a":"1111","b":"1011"'))
    assert markdown(summary(load(folder))) != before


def test_an_arm_without_its_outcome_is_not_there(folder: Path) -> None:
    """Items are written first: a crash in between leaves items that nobody vouches for."""
    told = json.loads((folder / "results.json").read_text())
    told["outcomes"] = told["outcomes"][:3]
    (folder / "results.json").write_text(json.dumps(told))
    results = load(folder)
    assert not results.has(1, "other")
    assert {(one.seed, one.arm) for one in results.items} == {(0, "base"), (0, "other"), (1, "base")}


def test_other_settings_need_another_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds the results of other settings"):
        begin(folder, PLAN.model_copy(update={"title": "Three arms"}))
    more = begin(folder, PLAN.model_copy(update={"seeds": 5}))
    assert (len(more.outcomes), more.ablation.seeds) == (4, 5)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected results\.json"):
        load(tmp_path)


def test_arms_that_have_not_ended_are_left_out() -> None:
    results = made()
    results.outcomes = [one for one in results.outcomes if one.arm == "base"]
    found: Summary = summary(results)
    assert [row.arm for row in found.arms] == ["base"]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_what_is_committed_follows_from_its_items(folder: Path, tmp_path: Path) -> None:
    results = load(folder)
    items = {(one.seed, one.arm, one.iteration): one.right for one in results.items}
    for outcome in results.outcomes:
        for row in outcome.iterations:
            assert accuracy(items[outcome.seed, outcome.arm, row.number]) == pytest.approx(row.accuracy)
    for path in write_tables(summary(results), tmp_path):
        assert path.read_text() == (folder / path.name).read_text()

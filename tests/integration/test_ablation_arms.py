"""The arms of an ablation as runs of one coordinator: what they share, what is kept of them, and going on."""

import asyncio
import json
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from comd.ablation.intervals import accuracy
from comd.ablation.plan import Ablation
from comd.ablation.results import Results
from comd.ablation.running import run_arm
from comd.cli import app
from comd.client import Client
from tests.doubles.town import KEYS, Town

PLAN = Ablation.model_validate(
    {
        "title": "Two arms",
        "seeds": 1,
        "world": {"pictures": 6, "heldout_per_kind": 1},
        "run": {"trainings": 2, "tau": 0.2, "evaluation": {"dataset": "heldout"}},
        "arms": [
            {"name": "base", "stands_for": "the base"},
            {"name": "other tau", "stands_for": "all are difficult", "changes": {"tau": 0.0}},
        ],
    }
)


def run_all(place: Town) -> Results:
    results = Results(PLAN)
    with Client(str(place.http.base_url), KEYS.api) as client:
        for arm in PLAN.arms:
            run_arm(Console(quiet=True), client, results, arm, 0, lambda: None)
    return results


async def num_calls(place: Town) -> int:
    calls = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()["by_role"]
    return sum(calls.values())


async def test_arms_run_share_and_are_not_run_twice(commanded: Town, tmp_path: Path) -> None:
    await commanded.register()
    data = {"path": str(commanded.folder / "instruct.json"), "images": str(commanded.folder / "images")}
    await commanded.post("/v1/datasets", {"name": "demo", **data})
    results = await asyncio.to_thread(run_all, commanded)
    base, other = results.outcomes
    assert [(one.arm, one.shares) for one in results.outcomes] == [
        ("base", False),
        ("other tau", True),
    ]
    assert (base.ended, [row.number for row in base.iterations]) == ("finished", [0, 1, 2])
    assert (other.ended, other.iterations[0]) == ("finished", base.iterations[0])
    assert (other.iterations[1].accuracy, other.iterations[1].easy) == (base.iterations[1].accuracy, 0)
    assert len(commanded.trainer.jobs) == 2 + 1, "the branch has its first training from the base"
    check_items(results)
    before = await num_calls(commanded)
    again = await asyncio.to_thread(run_all, commanded)
    assert (await num_calls(commanded), again.items) == (before, results.items)
    await check_the_command(results, tmp_path / "out")


def check_items(results: Results) -> None:
    right = {(one.arm, one.iteration): one.right for one in results.items}
    for outcome in results.outcomes:
        for row in outcome.iterations:
            assert accuracy(right[outcome.arm, row.number]) == row.accuracy


async def check_the_command(results: Results, folder: Path) -> None:
    """Table and figure from the stored results, without a stack."""
    folder.mkdir()
    results.save(folder)
    plan = Path(__file__).parents[2] / "configs" / "ablation-tau.toml"
    words = ["ablate", str(plan), "--out", str(folder), "--summarise", "--json"]
    told = await asyncio.to_thread(CliRunner().invoke, app, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert [row["arm"] for row in json.loads(told.stdout)["arms"]] == [arm.name for arm in PLAN.arms]
    made = {path.name for path in folder.iterdir()}
    assert made >= {"table.md", "table.csv", "iterations.csv", "ablation.png", "ablation.svg"}
    dry = await asyncio.to_thread(CliRunner().invoke, app, ["ablate", str(plan), "--dry-run"])
    assert "no stage 1: table 5: the projector is not trained beforehand; from its beginning" in dry.output

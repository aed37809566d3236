"""The whole loop with nothing stubbed but the roles' engine: real trainer on DeepSpeed, real student, real stores.

In its middle a worker is killed, Redis is emptied and the coordinator is killed; the run ends all the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from rich.console import Console
from typer.testing import CliRunner

from comd.cli import app
from comd.client import Client
from comd.client.sync.datasets import Purpose
from comd.demo.result import summary
from comd.report.material import gather
from comd.report.page import render
from comd.stack.settings import StackSettings
from comd.stack.stack import Stack
from comd.watch import watch_run
from comd.world import dataset
from services.augmentor.novelty import is_novel
from shared.errors import EngineUnavailable
from tests.loopback import ten_free_ports
from tests.tiny_student import make_student

CONFIG: dict[str, Any] = {
    "trainings": 2,
    "student": {"base": "tiny", "max_tokens": 8},
    "pretraining": {"dataset": "captions", "epochs": 1, "batch_size": 8},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_length": 256},
    "evaluation": {"dataset": "heldout", "max_tokens": 8},
}
NUM_PICTURES = 24


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    dataset.write(folder, seed=3, num_pictures=NUM_PICTURES, num_heldout_per_kind=2)
    return folder


@pytest.fixture(scope="module")
def stack(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack")
    make_student(home / "tiny")
    settings = StackSettings(
        home=home,
        base_port=ten_free_ports(),
        image_store=str(home / "images"),
        database_url=None,
        redis_url=None,
        scripted={},
        trainer={"base_students": {"tiny": str(home / "tiny")}},
        coordinator={"data_roots": [str(world)], "lease_s": 3},
    )
    with Stack(settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, stack.keys.api) as client:
        yield client


class Trouble:
    """Strikes once each, as soon as its phase is seen."""

    def __init__(self, stack: Stack, client: Client, run_id: str):
        self.stack, self.client, self.run_id = stack, client, run_id
        self.to_come = {
            "teaching": self.kill_worker,
            "training": self.kill_coordinator,
            "evaluating": self.flush,  # each of these may be over between two looks
            "assessing": self.flush,
            "augmenting": self.flush,
        }
        self.struck: list[str] = []

    def __call__(self) -> None:
        self.stack.check()
        try:
            phase = self.client.runs.get(self.run_id).phase
        except EngineUnavailable:  # the coordinator that was killed is not back yet
            return
        if phase is not None and phase in self.to_come:
            self.to_come.pop(phase)()
            self.struck.append(phase)

    def kill_worker(self) -> None:
        self._kill("worker-1")

    def kill_coordinator(self) -> None:
        self._kill("coordinator")

    def flush(self) -> None:
        with redis.Redis(port=self.stack.settings.port("redis")) as there:
            there.flushall()

    def _kill(self, name: str) -> None:
        process = next(child.process for child in self.stack.children if child.name == name)
        assert process is not None
        psutil.Process(process.pid).kill()


@pytest.fixture(scope="module")
def finished(stack: Stack, client: Client, world: Path) -> tuple[Trouble, dict[str, Any]]:
    """The run, driven to its end through all the trouble, and its report."""
    datasets: list[tuple[str, str, str, Purpose]] = [
        ("world", "instruct.json", "images", "instruct"),
        ("captions", "captions.json", "images", "pretrain"),
        ("heldout", "heldout.json", "heldout", "evaluation"),
    ]
    for name, file, images, purpose in datasets:
        assert client.datasets.register(name, world / file, world / images, purpose).num_refused == 0
    run = client.runs.create("whole", "world", CONFIG)
    client.runs.start(run.id, 2)
    trouble = Trouble(stack, client, run.id)
    last = watch_run(client, run.id, Console(quiet=True), trouble, look_s=0.05)
    assert last.status == "finished", last
    return trouble, client.runs.report(run.id).model_dump(mode="json")


def test_the_run_ends_through_all_the_trouble(finished: tuple[Trouble, dict[str, Any]]) -> None:
    trouble, report = finished
    assert {"teaching", "training"} < set(trouble.struck)
    assert {"evaluating", "assessing", "augmenting"} & set(trouble.struck)
    start, first, second = report["iterations"]
    assert start["checkpoint"] != first["checkpoint"] != second["checkpoint"]
    assert first["tuning_pool"] == first["cache_pool"] == 2 * NUM_PICTURES
    assert second["tuning_pool"] == first["accepted"] > 0
    assert second["cache_pool"] == first["cache_pool"] + first["accepted"]
    assert second["difficult"] is None  # the last training is not assessed
    assert all(0 <= iteration["heldout_accuracy"] <= 1 for iteration in report["iterations"])
    assert second["train_loss"] > 0


def test_the_pools_hold_what_the_algorithm_says(
    finished: tuple[Trouble, dict[str, Any]], client: Client
) -> None:
    _, report = finished
    rows = list(client.pools.items(report["run"]["id"], "cache", 2))
    assert len({row.id for row in rows}) == len(rows) == report["iterations"][2]["cache_pool"]
    by_image: dict[str | None, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.born_in):
        others = by_image.setdefault(row.image, [])
        if row.born_in == 2:
            assert is_novel(row.text, others)
        others.append(row.text)


def test_summary_and_page_are_made_of_it(finished: tuple[Trouble, dict[str, Any]], client: Client) -> None:
    _, report = finished
    made = summary(report)
    assert [iteration["number"] for iteration in made["iterations"]] == [1, 2]
    assert made["final_accuracy"] == made["iterations"][-1]["heldout_accuracy"]
    page = render(gather(client, report["run"]["id"]), "Title", "Subtitle", ["next"])
    assert "Held-out" in page
    assert page.count("<svg") > 3


def test_a_run_begins_from_a_student_that_was_aligned_beside(
    finished: tuple[Trouble, dict[str, Any]],
    stack: Stack,
    client: Client,
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMD_API_KEY", stack.keys.api)
    words = ["train", "pretrain", str(world / "captions.json"), "--images", str(world / "images")]
    words += ["--base", "tiny", "--image-store", stack.settings.image_store, "--batch-size", "8", "--json"]
    told = CliRunner().invoke(
        app, [*words, "--trainer-url", stack.settings.url("trainer")], catch_exceptions=False
    )
    aligned = json.loads(told.stdout)["checkpoint"]
    config = {
        "trainings": 1,
        "student": {"base": aligned, "max_tokens": 8},
        "training": CONFIG["training"],
    }
    run = client.runs.create("aligned", "world", config)
    client.runs.start(run.id, 1)
    assert watch_run(client, run.id, Console(quiet=True)).status == "finished"
    start, only = client.runs.report(run.id).iterations
    assert "pretraining" not in start.seconds
    assert only.checkpoint is not None
    checkpoints = stack.settings.home / "trainer" / "checkpoints"
    assert json.loads((checkpoints / only.checkpoint / "comd.json").read_text())["model"] == aligned

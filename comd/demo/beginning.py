"""The demo's data sets and run, begun or taken up again at a coordinator, wherever that is."""

from pathlib import Path
from typing import Any

from rich.console import Console

from comd.client import Coordinator
from comd.commands.data import show_import
from comd.demo.folder import DemoFolder
from shared.settings import read_toml

CONFIG = Path(__file__).parents[2] / "configs" / "demo.toml"
NAME = "demo"


def begin(console: Console, coordinator: Coordinator, folder: DemoFolder, captions: Path) -> str:
    """Import the world, which the coordinator sees at the same path; the id of a run that is yet to start."""
    imports = [
        (NAME, folder.world / "instruct.json", "images", "instruct"),
        (f"{NAME}-captions", captions, "images", "pretrain"),
        (f"{NAME}-heldout", folder.world / "heldout.json", "heldout", "evaluation"),
    ]
    for name, file, images, purpose in imports:
        told = coordinator.register_dataset(name, file, folder.world / images, purpose)
        show_import(console, told)
    config: dict[str, Any] = {**read_toml(CONFIG), "seed": folder.seed}
    return str(coordinator.create_run(NAME, NAME, config)["id"])


def go_on(coordinator: Coordinator, run_id: str) -> None:
    """Start what is not started, resume what stands still."""
    run = coordinator.run(run_id)
    if run["status"] == "created":
        coordinator.start(run_id, int(run["config"]["trainings"]), idempotency_key="demo")
    elif run["status"] in {"paused", "failed"}:
        coordinator.control(run_id, "resume")

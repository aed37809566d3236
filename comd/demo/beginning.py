"""The demo's data sets and run, begun or taken up again at a coordinator, wherever that is."""

from pathlib import Path
from typing import Any

from rich.console import Console

from comd.client import Client
from comd.client.sync.datasets import Purpose
from comd.commands.data import show_import
from comd.demo.folder import DemoFolder
from shared.settings import read_toml

CONFIG = Path(__file__).parents[2] / "configs" / "demo.toml"
NAME = "demo"


def begin(console: Console, client: Client, folder: DemoFolder, captions: Path) -> str:
    """Import the world and create its run; the id of the run, which is yet to start."""
    import_world(console, client, folder, captions)
    config: dict[str, Any] = {**read_toml(CONFIG), "seed": folder.seed}
    return client.runs.create(NAME, NAME, config).id


def import_world(console: Console, client: Client, folder: DemoFolder, captions: Path) -> None:
    """The world's three data sets, which the coordinator sees at the same path."""
    imports: list[tuple[str, Path, str, Purpose]] = [
        (NAME, folder.world / "instruct.json", "images", "instruct"),
        (f"{NAME}-captions", captions, "images", "pretrain"),
        (f"{NAME}-heldout", folder.world / "heldout.json", "heldout", "evaluation"),
    ]
    for name, file, images, purpose in imports:
        show_import(console, client.datasets.register(name, file, folder.world / images, purpose))


def go_on(client: Client, run_id: str) -> None:
    """Start what is not started, resume what stands still."""
    run = client.runs.get(run_id)
    if run.status == "created":
        client.runs.start(run_id, idempotency_key="demo")
    elif run.status in {"paused", "failed"}:
        client.runs.resume(run_id)

"""`comd run create | start`: begin a run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from comd.commands import completion
from comd.commands.branching import with_settings
from comd.commands.connection import AsJson, connect, find_run
from comd.commands.printing import print_json
from comd.commands.watching import watch_to_its_end
from shared.errors import BadRequest
from shared.settings import read_toml

NewName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the new run.")]
Config = Annotated[
    Path | None,
    typer.Option(help="TOML file with the run's settings; without one, the paper's.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, such as tau=0.5 or training.epochs=2; may be repeated."),
]
Dataset = typer.Option(
    help="Name of the data set to learn from.", autocompletion=completion.datasets, show_default=False
)


def create(
    name: NewName,
    dataset: Annotated[str, Dataset],
    config: Config = None,
    set_: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Create a run without starting it; its settings are checked."""
    with connect() as client:
        run = client.runs.create(name, dataset, _settings(config, set_))
    if as_json:
        print_json(run)
    else:
        print(f"run {run.name} ({run.id}) is created; `comd run start {run.name}` starts it")


def start(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The run: its name or id; of a new run, its name.",
            autocompletion=completion.runs,
        ),
    ],
    dataset: Annotated[str | None, Dataset] = None,
    config: Config = None,
    set_: Settings = None,
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings to add.", show_default="the run's setting `trainings`"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show the progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run: a new one with --dataset, else one that is there, which gets more trainings."""
    if dataset is None and (config is not None or set_):
        raise BadRequest("--config and --set are for a new run, which needs --dataset too")
    with connect() as client:
        if dataset is not None:
            run_id = client.runs.create(name, dataset, _settings(config, set_)).id
        else:
            run_id = find_run(client, name).id
        run = client.runs.start(run_id, iterations)
        if not as_json:
            print(f"run {run.name} ({run.id}) is started", flush=True)
        elif not watch:
            print_json(run)
        if watch:
            watch_to_its_end(client, run.id, Console(), as_json)


def _settings(config: Path | None, settings: list[str] | None) -> dict[str, Any]:
    return with_settings(read_toml(config) if config else {}, settings or [])

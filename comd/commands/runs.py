"""`comd run start | watch | list | show | log | failures | budget | swap | pause | resume | retry | cancel |
branch`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comd.commands import branching, history
from comd.commands.connection import AsJson, connect
from comd.commands.connection import RunName as Name
from comd.report import story
from comd.usage_table import spending, usage_table
from comd.watch import because, summary_table, watch_run
from shared.errors import BadRequest
from shared.settings import read_toml

app = typer.Typer(help="runs: start, watch, swap engines, pause, resume", no_args_is_help=True)
app.command("log")(history.log)
app.command("failures")(history.failures)
app.command("branch")(branching.branch)


@app.command()
def start(
    name: Name,
    dataset: Annotated[str | None, typer.Option(help="of a new run")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with a new run's settings")] = None,
    iterations: Annotated[
        int | None, typer.Option(help="trainings to add; default: the run's own number")
    ] = None,
    watch: Annotated[bool, typer.Option(help="stay and show the progress")] = False,
) -> None:
    """Create a run (with --dataset) and start it, or add iterations to one that is there."""
    with connect() as coordinator:
        if dataset is not None:
            run = coordinator.create_run(name, dataset, read_toml(config) if config else {})
        else:
            run = coordinator.find_run(name)
        coordinator.start(run["id"], iterations or int(run["config"]["trainings"]))
        print(f"run {run['name']} ({run['id']}) is started")
        if watch:
            watch_run(coordinator, run["id"], Console())


@app.command()
def watch(name: Name) -> None:
    """Show the progress until the run ends or pauses; Ctrl-C leaves the run alone."""
    with connect() as coordinator:
        watch_run(coordinator, coordinator.find_run(name)["id"], Console())


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All runs, the newest last."""
    with connect() as coordinator:
        runs = coordinator.runs()
    if as_json:
        print(json.dumps(runs))
        return
    for run in sorted(runs, key=lambda run: str(run["created_at"])):
        print(
            f"{run['name']}  {run['status']}  iteration {run['iteration']}  {run['phase'] or '-'}  {run['id']}"
        )


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """What happened in a run, iteration by iteration."""
    with connect() as coordinator:
        run = coordinator.find_run(name)
        report = coordinator.report(run["id"])
    if as_json:
        print(json.dumps(report))
        return
    console = Console()
    before: story.Iteration | None = None
    for iteration in report["iterations"]:
        for line in story.tell(iteration, before):
            console.print(line, highlight=False, soft_wrap=True)
        before = iteration
    console.print(summary_table(report["iterations"]))
    if report["usage"]["by_role"]:
        console.print(usage_table(report["usage"]))
    console.print(f"Run {run['name']} is {run['status']}{because(run)}.", highlight=False, soft_wrap=True)


@app.command()
def budget(name: Name, amount: Annotated[float, typer.Argument(min=0, help="in the run's currency")]) -> None:
    """Limit what the run may spend; a run that paused because it was used up goes on with `resume`."""
    with connect() as coordinator:
        run = coordinator.set_budget(coordinator.find_run(name)["id"], amount)
        print(f"run {run['name']} may spend {amount:.2f}: {spending(run['usage'])}")


@app.command()
def swap(
    name: Name,
    role: Annotated[str, typer.Argument(help="teacher, assessor or augmentor")],
    url: Annotated[str | None, typer.Option(help="root of an OpenAI-compatible server, without /v1")] = None,
    model: Annotated[str | None, typer.Option(help="as the server lists it")] = None,
    revision: Annotated[str | None, typer.Option(help="what you call this version of the model")] = None,
    key_name: Annotated[
        str | None, typer.Option(help="the variable COMD_ENGINE_KEY_... that holds its key")
    ] = None,
    kind: Annotated[str, typer.Option(help="openai or vllm")] = "openai",
    json_schema: Annotated[
        bool | None, typer.Option(help="whether it takes a JSON schema; default: by its kind")
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help="back to the engine of the role's service")
    ] = False,
    restart_assessment: Annotated[
        bool, typer.Option(help="discard this assessment's verdicts and begin it anew, with this judge")
    ] = False,
) -> None:
    """Another engine behind a role: from the next task, for the assessor from the next assessment."""
    if default == bool(url or model) or not (default or (url and model)):
        raise BadRequest("expected --url and --model, or --default")
    given = {"base_url": url, "model": model, "revision": revision, "key_name": key_name, "kind": kind}
    endpoint = None if default else {**given, "json_schema": json_schema}
    with connect() as coordinator:
        change = {"endpoints": {role: endpoint}, "restart_assessment": restart_assessment}
        run = coordinator.change(coordinator.find_run(name)["id"], change)
        now = run["engines"].get(role)
        print(
            f"run {run['name']}: {role} is {now['model'] + ' at ' + now['base_url'] if now else 'the default'}"
        )


@app.command()
def pause(name: Name) -> None:
    """Stop the run where it is; what was answered is kept."""
    _control(name, "pause")


@app.command()
def resume(name: Name) -> None:
    """Go on with a paused run."""
    _control(name, "resume")


@app.command()
def retry(name: Name) -> None:
    """Ask again what failed in the present phase; a run that was paused to ask about it goes on."""
    _control(name, "retry")


@app.command()
def cancel(name: Name) -> None:
    """End a run for good; what it has is kept."""
    _control(name, "cancel")


def _control(name: str, action: str) -> None:
    with connect() as coordinator:
        run = coordinator.control(coordinator.find_run(name)["id"], action)
        print(f"run {run['name']} is {run['status']}")

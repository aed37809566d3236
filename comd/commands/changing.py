"""`comd run budget | price | swap | restart-assessment`: change a run while it is there."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json
from comd.usage_table import spending
from services.coordinator.api.shapes import Run
from shared.errors import BadRequest
from shared.settings import read_toml
from shared.types import EngineKind, LoopRole


class Swappable(StrEnum):  # Typer takes no list of literals
    teacher = "teacher"
    assessor = "assessor"
    augmentor = "augmentor"


def budget(
    name: RunName,
    amount: Annotated[
        float | None,
        typer.Argument(min=0, help="What the run may spend, in its currency.", show_default=False),
    ] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="Take the limit away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Limit what a run may spend; one that paused because it was used up goes on with `comd run resume`."""
    if (amount is None) != no_limit:
        raise BadRequest("expected an amount, or --no-limit")
    run = _change(name, budget=amount)
    limit = "without limit" if amount is None else f"{amount:.2f}"
    _say(run, f"run {run.name} may spend {limit}: {spending(run.usage)}", as_json)


def price(
    name: RunName,
    role: Annotated[
        LoopRole,
        typer.Argument(
            metavar="ROLE", help="Whose tokens: teacher, assessor, augmentor or student.", show_default=False
        ),
    ],
    prompt: Annotated[
        float, typer.Option(min=0, help="Of a million prompt tokens, in the run's currency.")
    ] = 0.0,
    completion: Annotated[
        float, typer.Option(min=0, help="Of a million tokens of the answers, in the run's currency.")
    ] = 0.0,
    cached: Annotated[
        float | None,
        typer.Option(
            min=0, help="Of a million prompt tokens that the engine had cached.", show_default="as --prompt"
        ),
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Its calls cost nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a role's tokens cost; it counts for calls from now on."""
    if free == bool(prompt or completion or cached):
        raise BadRequest("expected --prompt and --completion, or --free")
    of_role = None if free else {"prompt": prompt, "completion": completion, "cached": cached}
    run = _change(name, prices={role: of_role})
    said = "costs nothing" if free else f"costs {prompt:g} / {completion:g} a million tokens"
    _say(run, f"run {run.name}: the {role} {said}", as_json)


def swap(
    name: RunName,
    roles: Annotated[
        list[Swappable] | None,
        typer.Argument(metavar="ROLE", help="The roles: teacher, assessor, augmentor.", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Root of an OpenAI-compatible server, without /v1.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model, as the server lists it.", show_default=False)
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="What you call this version of the model.", show_default=False)
    ] = None,
    key_name: Annotated[
        str | None,
        typer.Option(help="The variable COMD_ENGINE_KEY_... that holds its key.", show_default="no key"),
    ] = None,
    kind: Annotated[
        EngineKind,
        typer.Option(metavar="KIND", help="What the server is: openai (any), vllm or scripted."),
    ] = "openai",
    json_schema: Annotated[
        bool | None,
        typer.Option(
            "--json-schema/--no-json-schema",
            help="Whether it takes a JSON schema.",
            show_default="by its kind",
        ),
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Back to the engine of the role's service.")
    ] = False,
    engines: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a table of base_url, model ... a role; all change at once or none.",
            show_default=False,
        ),
    ] = None,
    restart_assessment: Annotated[
        bool,
        typer.Option("--restart-assessment", help="Discard this assessment's verdicts and begin it anew."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put another engine behind roles: from the next task, for the assessor from the next assessment.

    The engine is asked first; where it cannot be used, nothing changes.
    """
    engine: dict[str, Any] = {
        "base_url": url,
        "model": model,
        "revision": revision,
        "key_name": key_name,
        "kind": kind,
    }
    engine["json_schema"] = json_schema
    endpoints = _endpoints([role.value for role in roles or []], engine, default, engines)
    run = _change(name, endpoints=endpoints, restart_assessment=restart_assessment)
    in_use = {str(role): f"{spec.model} at {spec.base_url}" for role, spec in run.engines.items()}
    said = (f"run {run.name}: {role} is {in_use.get(role, 'the default')}" for role in endpoints)
    _say(run, "\n".join(said), as_json)


def restart_assessment(name: RunName, as_json: AsJson = False) -> None:
    """Discard the verdicts of the assessment that goes on, and begin it anew with the judge of now."""
    run = _change(name, restart_assessment=True)
    _say(run, f"run {run.name}: the assessment of iteration {run.iteration} begins anew", as_json)


def _endpoints(
    roles: list[str], engine: dict[str, Any], default: bool, file: Path | None
) -> dict[str, dict[str, Any] | None]:
    given = [bool(engine["base_url"] and engine["model"]), default, file is not None]
    if sum(given) != 1 or bool(roles) == (file is not None) or (default and engine["base_url"]):
        raise BadRequest("expected roles with --url and --model, roles with --default, or --engines FILE")
    if file is not None:
        return dict(read_toml(file))
    return dict.fromkeys(roles, None if default else engine)


def _change(name: str, **change: Any) -> Run:
    with connect() as client:
        return client.runs.change(find_run(client, name).id, **change)


def _say(run: Run, said: str, as_json: bool) -> None:
    if as_json:
        print_json(run)
    else:
        print(said)

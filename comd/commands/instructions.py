"""`comd instruction show`, `comd image get`: one instruction's life, and a picture."""

from pathlib import Path
from typing import Annotated

import typer

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json
from comd.printable import printable
from services.coordinator.api.instruction_shapes import Instruction, Verdict

app = typer.Typer(help="Look at one instruction of a run.", no_args_is_help=True)
images = typer.Typer(help="Get the pictures of instructions.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Look at one instruction of a run."""


@images.callback()
def picture_group() -> None:
    """Get the pictures of instructions."""


@app.command()
def show(
    name: RunName,
    instruction_id: Annotated[
        str, typer.Argument(metavar="ID", help="The instruction's id, as `comd pool list` shows it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show an instruction with its family, and answers and verdicts by iteration."""
    with connect() as client:
        found = client.instructions.get(find_run(client, name).id, instruction_id)
    if as_json:
        print_json(found)
        return
    for line in life(found):
        print(printable(line))


def life(found: Instruction) -> list[str]:
    """From its seed to what it led to."""
    said = [
        f"{found.text}",
        f"  {found.origin}, {found.task_type}, born in {found.born_in}, image {found.image}",
    ]
    said += [f"  from {parent.id}: {parent.text}" for parent in found.ancestry]
    for answer in found.answers:
        when = "" if answer.iteration is None else f" after training {answer.iteration}"
        said.append(f"{answer.role}{when}: {answer.text}")
    said += [_verdict(verdict) for verdict in found.verdicts]
    return said + [f"  led to {child.id}: {child.text}" for child in found.children]


def _verdict(verdict: Verdict) -> str:
    if verdict.unjudged:
        return f"iteration {verdict.iteration}: unjudged, {verdict.reason}"
    return (
        f"iteration {verdict.iteration}: teacher {verdict.teacher_score:g}, student {verdict.student_score:g}, "
        f"difficulty {verdict.difficulty:.3f}"
    )


@images.command()
def get(
    sha256: Annotated[
        str, typer.Argument(metavar="SHA256", help="The picture's name, as instructions have it.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a picture to a file."""
    with connect() as client:
        content = client.images.get(sha256)
    out.write_bytes(content)
    if as_json:
        print_json({"file": str(out), "bytes": len(content)})
    else:
        print(f"{out}: {len(content):,} bytes")

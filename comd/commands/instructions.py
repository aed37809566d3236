"""`comd instruction list | show`, `comd image get`: what was asked and answered, one question's life, a picture."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from comd.client.sync.pools import Show
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json, print_list
from comd.printable import printable
from comd.report import story
from services.coordinator.api.instruction_shapes import Instruction, Verdict

app = typer.Typer(help="Look at the instructions of a run, with answers and verdicts.", no_args_is_help=True)
images = typer.Typer(help="Get the pictures of instructions.", no_args_is_help=True)


@images.callback()
def picture_group() -> None:
    """Get the pictures of instructions."""


@app.command("list")
def list_(
    name: RunName,
    show: Annotated[
        Show, typer.Option(help="Which: by difficulty, not judged, or student better than teacher.")
    ] = "hardest",
    iteration: Annotated[
        int | None,
        typer.Option(min=1, help="The iteration that judged them.", show_default="the last with verdicts"),
    ] = None,
    task_type: Annotated[str | None, typer.Option(help="Only of this task type.", show_default="all")] = None,
    words: Annotated[
        str | None, typer.Option(help="Only with these words, in any order.", show_default="all")
    ] = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="How many to list at most.", show_default="all")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what an iteration judged, the hardest first, with scores and both answers."""
    with connect() as client:
        run_id = find_run(client, name).id
        found = islice(client.instructions.list(run_id, iteration, show, task_type, words), first)
        if as_json:
            print_list(found)
            return
        for row in found:
            scores = f"{story.number(row.teacher_score)} : {story.number(row.student_score)}"
            print(printable(f"{row.id}  {story.number(row.difficulty)}  {scores}  {row.text}"))
            print(printable(f"    teacher: {row.teacher_answer or '-'}"))
            print(printable(f"    student: {row.student_answer or '-'}"))


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

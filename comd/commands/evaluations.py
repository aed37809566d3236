"""`comd evaluation ...`: models that were measured: their tables, questions, differences; and control of the work."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console

from comd.client import Client
from comd.commands import completion
from comd.commands.connection import AsJson, EvaluationName, connect, find_evaluation
from comd.commands.evaluate_options import Beside, Format, TableFormat
from comd.commands.exits import OF_RUN
from comd.commands.printing import print_json, print_list
from comd.measuring_display import follow
from comd.printable import printable
from services.coordinator.api.evaluation_shapes import (
    Evaluation,
    EvaluationItem,
    EvaluationSummary,
    Outcome,
    ScoreCell,
)
from services.coordinator.benchmarks.items import COLUMNS, LETTERS

app = typer.Typer(help="Look at what was measured on benchmarks, and steer it.", no_args_is_help=True)
OtherName = Annotated[
    str,
    typer.Argument(
        metavar="OTHER",
        help="The evaluation to compare it with.",
        show_default=False,
        autocompletion=completion.evaluations,
    ),
]


@app.command("list")
def list_(
    run: Annotated[
        str | None,
        typer.Option(help="Only of this run's students.", show_default="all", autocompletion=completion.runs),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Only on this benchmark.", show_default="all", autocompletion=completion.benchmarks
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the evaluations, the newest last, with the score of the whole benchmark."""
    with connect() as client:
        run_id = None if run is None else client.runs.find(run).id
        found = client.evaluations.list(run_id, benchmark)[::-1]
    if as_json:
        print_list(found)
        return
    for one in found:
        print(printable(f"{one.id}  {one.status:9}  {one.benchmark}  {one.model.label}  {_score(one)}"))


def _score(one: EvaluationSummary) -> str:
    """The last column's, which is that of all questions."""
    return told(one.scores[COLUMNS[one.kind][-1]]) if one.scores else f"{one.items:,} questions"


def told(cell: ScoreCell, sign: str = "") -> str:
    """A column in which nothing was asked has no number."""
    if cell.value is None or cell.low is None or cell.high is None:
        return "-"
    return f"{cell.value:{sign}.2f} ({cell.low:{sign}.2f} to {cell.high:{sign}.2f})"


@app.command()
def show(
    name: EvaluationName, beside: Beside = None, format: TableFormat = "text", as_json: AsJson = False
) -> None:
    """Show an evaluation's table with intervals, others beside it, and the paper's rows."""
    with connect() as client:
        one = find_evaluation(client, name)
        others = [find_evaluation(client, other).id for other in beside or []]
        whole = client.evaluations.get(one.id)
        if as_json:
            print_json(whole)
        else:
            tell_result(client, whole, others, format)


@app.command()
def watch(name: EvaluationName, as_json: AsJson = False) -> None:
    """Show how far an evaluation is until it ends or pauses; the exit status tells how it ended.

    Ctrl-C leaves it alone. With --json every change is one line.
    """
    console = Console(stderr=True)
    with connect() as client:
        one = follow_to_its_end(client, find_evaluation(client, name), console, as_json)
        if not as_json:
            tell_result(client, one, (), "text")


@app.command()
def items(
    name: EvaluationName,
    outcome: Annotated[
        Outcome | None, typer.Option(help="Only those that came to this.", show_default="all")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Only those that count in this column of the table.", show_default="all"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the questions with the right answer, the given one, and what the model wrote."""
    with connect() as client:
        found = client.evaluations.items(find_evaluation(client, name).id, outcome, group)
        if as_json:
            print_list(found)
            return
        for one in found:
            for line in _told(one):
                print(printable(line))


def _told(one: EvaluationItem) -> list[str]:
    said = [f"{one.name}  {one.outcome}  {one.question}"]
    for number, choice in enumerate(one.choices):
        marks = [word for word, at in (("right", one.answer), ("given", one.prediction)) if at == number]
        mark = f"  <- {', '.join(marks)}" if marks else ""
        said.append(f"    {LETTERS[number]}. {choice}{mark}")
    if one.answer_text is not None:
        said.append(f"    answer: {one.answer_text}")
    if one.failure is not None:
        said.append(f"    failed: {one.failure}")
    return said


@app.command()
def compare(name: EvaluationName, other: OtherName, as_json: AsJson = False) -> None:
    """Show by how much an evaluation is above another, over the questions of both, with paired intervals."""
    with connect() as client:
        one, two = find_evaluation(client, name), find_evaluation(client, other)
        found = client.evaluations.difference(one.id, two.id)
    if as_json:
        print_json(found)
        return
    named = [f"{each.model.label} ({each.id})" for each in (one, two)]
    print(printable(f"{' minus '.join(named)}, in points; 95 % intervals, paired"))
    for column, cell in found.columns.items():
        print(f"  {column:12} {told(cell, '+')}  {cell.num or 0:,} questions")


@app.command()
def export(
    name: EvaluationName,
    out: Annotated[
        Path, typer.Option(help="The file to write; it appears when it is whole.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Write every question with answer, likelihoods and review to a file of JSON lines."""
    with connect() as client:
        num = client.evaluations.export(find_evaluation(client, name).id, out)
    if as_json:
        print_json({"file": str(out), "items": num})
    else:
        print(f"{out}: {num:,} questions")


def _control(name: str, as_json: bool, do: Callable[[Client, str], object]) -> None:
    with connect() as client:
        one = find_evaluation(client, name)
        do(client, one.id)
        one = client.evaluations.get(one.id)
    if as_json:
        print_json(one)
    else:
        print(printable(f"evaluation {one.name} is {one.status}"))


@app.command()
def pause(name: EvaluationName, as_json: AsJson = False) -> None:
    """Stop an evaluation where it is; calls in flight end and are kept."""
    _control(name, as_json, lambda client, one: client.runs.pause(one))


@app.command()
def resume(name: EvaluationName, as_json: AsJson = False) -> None:
    """Go on with a paused evaluation."""
    _control(name, as_json, lambda client, one: client.runs.resume(one))


@app.command()
def retry(name: EvaluationName, as_json: AsJson = False) -> None:
    """Ask again the questions that failed; an evaluation that paused to ask about them goes on."""
    _control(name, as_json, lambda client, one: client.runs.retry(one))


@app.command()
def cancel(name: EvaluationName, as_json: AsJson = False) -> None:
    """End an evaluation for good; what it has is kept."""
    _control(name, as_json, lambda client, one: client.runs.cancel(one))


def follow_to_its_end(
    client: Client, evaluation: EvaluationSummary, console: Console, as_json: bool = False
) -> Evaluation:
    """The evaluation as it ended. Where that is no success, the command ends with the status that says so."""
    try:
        one = follow(client, evaluation, console, as_json)
    except KeyboardInterrupt:
        shown = f"`comd evaluation watch {evaluation.id}` shows it again"
        print(f"the evaluation goes on; {shown}", file=sys.stderr)
        raise
    if status := OF_RUN[one.status]:
        why = f": {one.reason}" if one.reason else ""
        said = printable(f"evaluation {one.id} is {one.status}{why}")
        console.print(said, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(status)
    return one


def tell_result(client: Client, one: Evaluation, beside: Sequence[str], format: Format) -> None:
    """The table; for people, also how many answers could not be read, which count as wrong, and how many failed."""
    if format == "json":
        print_json(client.evaluations.table(one.id, beside))
        return
    for line in client.evaluations.table_text(one.id, beside, format).rstrip("\n").split("\n"):
        print(printable(line))
    if format == "text":
        known = [(outcome, one.outcomes.get(outcome, 0)) for outcome in get_args(Outcome)]
        counts = ", ".join(f"{num:,} {outcome}" for outcome, num in known if num)
        print(f"{one.id} is {one.status}; {one.items:,} questions: {counts}")

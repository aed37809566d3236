"""`comd run flips`: what a student learnt and forgot between two iterations."""

from collections import Counter
from typing import Annotated, Literal

import typer

from comd.commands import completion
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_list
from comd.printable import printable


def flips(
    name: RunName,
    before: Annotated[int, typer.Argument(metavar="BEFORE", min=1, help="An iteration.", show_default=False)],
    after: Annotated[
        int,
        typer.Argument(metavar="AFTER", min=1, help="The iteration to compare it with.", show_default=False),
    ],
    other: Annotated[
        str | None,
        typer.Option(help="The run of AFTER.", show_default="the same run", autocompletion=completion.runs),
    ] = None,
    kind: Annotated[
        Literal["learnt", "forgotten"] | None,
        typer.Option(help="Only what became easy, or only what became difficult.", show_default="both"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the instructions that one iteration judged difficult and another easy."""
    with connect() as client:
        run_id = find_run(client, name).id
        other_id = None if other is None else find_run(client, other).id
        found = client.runs.flips(run_id, before, after, other_id, kind)
        if as_json:
            print_list(found)
            return
        num = Counter[str]()
        for row in found:
            course = f"{row.before.difficulty:.3f} -> {row.after.difficulty:.3f}"
            print(printable(f"{row.id}  {row.kind:9}  {course}  {row.text}"))
            num[row.kind] += 1
    print(f"{num['learnt']:,} learnt, {num['forgotten']:,} forgotten")

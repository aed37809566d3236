"""`comd run heldout`: what the student answered to the held-out questions after a training."""

from typing import Annotated

import typer

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_list
from comd.printable import printable

MARKS = {True: "right", False: "wrong", None: "-"}


def heldout(
    name: RunName,
    iteration: Annotated[
        int,
        typer.Argument(
            metavar="ITERATION",
            min=0,
            help="The iteration; 0 is before the first training.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """List the held-out questions with the student's answers and whether they are right."""
    with connect() as client:
        found = client.runs.heldout(find_run(client, name).id, iteration)
        if as_json:
            print_list(found)
            return
        for item in found:
            said = "-" if item.answer is None else repr(item.answer)
            print(printable(f"{MARKS[item.correct]:5}  {item.task_type}  {item.text!r}: {said}"))

"""How commands come to the coordinator, and the arguments that many of them take.

Where it is and with which key is the client's to know: `COMD_URL`, and `COMD_API_KEY` or this machine's key.
"""

from contextlib import suppress
from typing import Annotated

import typer

from comd.client import Client
from comd.commands import completion
from comd.commands.errors import UnknownName
from services.coordinator.api.evaluation_shapes import EvaluationSummary
from services.coordinator.api.shapes import Dataset, RunLine
from shared.errors import NotFound

RUN_HELP = "The run: its name (the newest of that name) or its id."
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=completion.runs, show_default=False)
]
OptionalRunName = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=completion.runs, show_default=False),
]
DatasetName = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Name of the data set.",
        show_default=False,
        autocompletion=completion.datasets,
    ),
]
EvaluationName = Annotated[
    str,
    typer.Argument(
        metavar="EVALUATION",
        help="The evaluation: its name (the newest of that name) or its id.",
        show_default=False,
        autocompletion=completion.evaluations,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]


def connect() -> Client:
    return Client()


def find_run(client: Client, name: str) -> RunLine:
    """The run of that id, an evaluation's too, or the newest of that name."""
    runs = client.runs.list()
    named = [run for run in runs if name in {run.id, run.name}]
    if not named:
        with suppress(NotFound):  # an evaluation is a run of another kind, which the list leaves out
            return client.runs.get(name)
        raise UnknownName("run", name, (run.name for run in runs), "comd run list")
    return max(named, key=lambda run: (run.id == name, run.created_at))


def find_dataset(client: Client, name: str) -> Dataset:
    try:
        return client.datasets.get(name)
    except NotFound:
        known = (dataset.name for dataset in client.datasets.list())
        raise UnknownName("data set", name, known, "comd data list") from None


def find_evaluation(client: Client, name: str) -> EvaluationSummary:
    """The evaluation of that id, or the newest of that name."""
    found = client.evaluations.list()
    named = [one for one in found if name in {one.id, one.name}]
    if not named:
        raise UnknownName("evaluation", name, (one.name for one in found), "comd evaluation list")
    return max(named, key=lambda one: (one.id == name, one.created_at))

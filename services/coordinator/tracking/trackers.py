"""The trackers that a run may name. In: names. Out: nothing, or a refusal where a library is missing.

Each has an adapter beside this file with one function, `send(shipment)`, which runs in a process of its own. It may
block, raise or hang, and is given the same shipment again where nobody knows whether it arrived.
"""

import importlib.util
from collections.abc import Iterable
from typing import Literal, TypedDict, get_args

from shared.errors import Unprocessable

TrackerName = Literal["trackio", "mlflow", "wandb"]
ADAPTERS = {name: f"services.coordinator.tracking.{name}_tracker" for name in get_args(TrackerName)}
PROJECT = "comd"  # as the trainer's


class Record(TypedDict):
    """Metrics of one step; the step is the iteration's number."""

    step: int
    metrics: dict[str, float]


class Shipment(TypedDict):
    """What a tracker is sent at once. `number` counts a run's shipments to this tracker."""

    run_id: str
    name: str
    number: int
    at_ms: int  # when it was packed; the same where it is sent again
    parameters: dict[str, str]
    records: list[Record]
    status: str  # of the run


def check_installed(names: Iterable[str]) -> None:
    """Unprocessable where the library of one is not there."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise Unprocessable(
                f"tracking: {name} is not installed where the coordinator runs; "
                "`pip install 'comd[tracking]'` there, or leave it out",
                param="tracking",
            )

"""What a report is made of. In: a client and a run's id. Out: the report, its curves, its failures, its pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comd.client import Client
from comd.report.benchmarks import Measured, measured
from comd.report.figures import Curves

Report = Mapping[str, Any]
ReadPicture = Callable[[str], bytes]


@dataclass(frozen=True)
class Material:
    """`read_picture` gives the bytes of a picture by its sha256."""

    report: Report
    curves: Curves
    failures: Iterable[Mapping[str, Any]]
    read_picture: ReadPicture
    benchmarks: Sequence[Measured] = ()


def gather(client: Client, run_id: str) -> Material:
    found = client.runs.report(run_id)
    return Material(
        found.model_dump(mode="json"),
        {row.number: _curve(client, run_id, row.number) for row in found.iterations},
        (row.model_dump(mode="json") for row in client.runs.failures(run_id)),
        client.images.get,
        measured(client, run_id),
    )


def _curve(client: Client, run_id: str, number: int) -> list[dict[str, Any]]:
    return [point.model_dump() for point in client.runs.curve(run_id, number)]

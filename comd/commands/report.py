"""`comd report`: a run as one page, figures for print, and the numbers behind them."""

from pathlib import Path
from typing import Annotated

import typer

from comd.client import Client
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json
from comd.service import Json
from shared.errors import NotFound


def report(
    name: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="report-ID")] = None,
    as_json: AsJson = False,
) -> None:
    """Write report.html, figures (PNG, SVG, CSV) and tables (CSV, LaTeX) of a run."""
    from comd.report.writing import Material, write_report

    with connect() as client:
        run_id = find_run(client, name).id
        found = client.runs.report(run_id)
        given = Material(
            found.model_dump(mode="json"),
            {row.number: _curve(client, run_id, row.number) for row in found.iterations},
            (row.model_dump(mode="json") for row in client.runs.failures(run_id)),
            client.images.get,
        )
        folder = out or Path(f"report-{run_id}")
        files = write_report(folder, given)
    if as_json:
        told = {"run": run_id, "folder": str(folder), "files": [str(path) for path in files]}
        print_json({**told, "warnings": found.warnings})
        return
    for warning in found.warnings:
        print(f"warning: {warning}")
    print(f"{files[0]}: the page; {folder / 'figures'}: figures; {folder / 'tables'}: tables")


def _curve(client: Client, run_id: str, number: int) -> list[Json]:
    """The points of a training; none where the coordinator keeps none."""
    try:
        return [point.model_dump() for point in client.runs.curve(run_id, number)]
    except NotFound:
        return []

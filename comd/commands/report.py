"""`comd report`: a run as one page, figures for print, and the numbers behind them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from comd.client import Coordinator
from comd.commands.connection import AsJson, RunName, connect
from comd.service import Json
from shared.errors import ComdError


def report(
    name: RunName,
    out: Annotated[Path | None, typer.Option(help="folder to write; default: report-ID")] = None,
    as_json: AsJson = False,
) -> None:
    """Write report.html, figures (PNG, SVG, CSV) and tables (CSV, LaTeX) of a run."""
    from comd.report.writing import Material, write_report

    with connect() as coordinator:
        run_id = coordinator.find_run(name)["id"]
        found = coordinator.report(run_id)
        trained = [row["number"] for row in found["iterations"]]
        given = Material(
            found,
            {number: _curve(coordinator, run_id, number) for number in trained},
            coordinator.failures(run_id),
            coordinator.picture,
        )
        folder = out or Path(f"report-{run_id}")
        files = write_report(folder, given)
    if as_json:
        told = {"run": run_id, "folder": str(folder), "files": [str(path) for path in files]}
        print(json.dumps({**told, "warnings": found["warnings"]}))
        return
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    print(f"{files[0]}: the page; {folder / 'figures'}: figures; {folder / 'tables'}: tables")


def _curve(coordinator: Coordinator, run_id: str, number: int) -> list[Json]:
    """The points of a training; none where the coordinator keeps none."""
    try:
        return coordinator.curve(run_id, number)
    except ComdError as error:
        if error.code == "not_found":
            return []
        raise

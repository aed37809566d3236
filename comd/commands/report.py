"""`comd report`: a run as one page, figures for print, and the numbers behind them."""

from pathlib import Path
from typing import Annotated

import typer

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json


def report(
    name: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default="report-ID")] = None,
    as_json: AsJson = False,
) -> None:
    """Write report.html, figures (PNG, SVG, CSV) and tables (CSV, LaTeX) of a run."""
    from comd.report.material import gather
    from comd.report.writing import write_report

    with connect() as client:
        run_id = find_run(client, name).id
        given = gather(client, run_id)
        folder = out or Path(f"report-{run_id}")
        files = write_report(folder, given)
    if as_json:
        told = {"run": run_id, "folder": str(folder), "files": [str(path) for path in files]}
        print_json({**told, "warnings": given.report["warnings"]})
        return
    for warning in given.report["warnings"]:
        print(f"warning: {warning}")
    print(f"{files[0]}: the page; {folder / 'figures'}: figures; {folder / 'tables'}: tables")

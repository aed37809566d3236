"""`comd report` on the disk. In: what the coordinator knows of a run. Out: a folder.

report.html; figures/NAME.png, .svg and .csv; tables/*.csv, iterations.tex and those of benchmarks.
"""

from pathlib import Path

from comd.report import benchmarks, tables
from comd.report.drawing import draw, require_matplotlib
from comd.report.figures import figures
from comd.report.material import Material
from comd.report.page import render


def write_report(folder: Path, given: Material) -> list[Path]:
    """The files, the page first. ConfigError without matplotlib, before anything is written."""
    require_matplotlib()
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(_page(given), encoding="utf-8")
    return [page, *_write_figures(folder / "figures", given), *_write_tables(folder / "tables", given)]


def _page(given: Material) -> str:
    run = given.report["run"]
    subtitle = f"A run of competitive multi-modal distillation on {run['dataset']}: {run['id']}."
    return render(given, run["name"], subtitle)


def _write_figures(folder: Path, given: Material) -> list[Path]:
    files: list[Path] = []
    for figure in figures(given.report, given.curves, given.benchmarks):
        numbers = folder / f"{figure.name}.csv"
        tables.write_csv(numbers, figure.columns, figure.rows)
        files += [*draw(figure, folder), numbers]
    return files


def _write_tables(folder: Path, given: Material) -> list[Path]:
    found = {
        "iterations": tables.iterations(given.report),
        "usage": tables.usage(given.report),
        "failures": (tables.FAILURES, tables.failures(given.failures)),
    }
    for name, (columns, rows) in found.items():
        tables.write_csv(folder / f"{name}.csv", columns, rows)
    latex = folder / "iterations.tex"
    latex.write_text(tables.latex_table(given.report), encoding="utf-8")
    return [
        *(folder / f"{name}.csv" for name in found),
        latex,
        *benchmarks.write_tables(folder, given.benchmarks),
    ]

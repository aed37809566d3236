"""A table of results: measured rows, then the paper's. In: cells. Out: text, CSV or LaTeX (booktabs).

A missing cell is "-". In text and LaTeX an interval is shown by half its width; CSV has both ends.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from services.coordinator.benchmarks.scores import Cell
from shared.document_text import csv_cell, latex, one_line

MISSING = "-"
GAP = "  "
UNKNOWN = Cell(None, None, None, None)


@dataclass(frozen=True)
class Row:
    label: str
    source: Literal["measured", "paper"]
    cells: tuple[Cell | None, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """`unit` says what a number is; `digits` follow the point in text and LaTeX."""

    title: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    digits: int = 2


def as_text(table: Table) -> str:
    """Aligned columns; a line stands between the measured rows and the paper's, notes are below."""
    head = ["", *table.columns]
    blocks = [[head], *([_line(row, table, "{} ±{}") for row in rows] for rows in _blocks(table))]
    widths = [max(len(text) for text in texts) for texts in zip(*chain(*blocks), strict=True)]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    body = f"\n{rule}\n".join("\n".join(_aligned(line, widths) for line in block) for block in blocks)
    return "\n".join([f"{table.title} ({table.unit})", body, *_notes(table)]) + "\n"


def as_csv(table: Table) -> str:
    """Four columns for each of the table's: value, low, high, num; a missing one is empty."""
    file = io.StringIO()
    out = csv.writer(file, lineterminator="\n")
    heads = [column + part for column in table.columns for part in ("", " low", " high", " num")]
    out.writerow(["label", "source", *heads, "note"])
    for row in chain(*_blocks(table)):
        cells = [cell or UNKNOWN for cell in row.cells]
        numbers = [number for cell in cells for number in (cell.value, cell.low, cell.high, cell.num)]
        out.writerow([csv_cell(value) for value in (row.label, row.source, *numbers, row.note)])
    return file.getvalue()


def as_latex(table: Table) -> str:
    """A `table` for a document with the package booktabs; intervals stand as small figures."""
    blocks = [[_latex_line(row, table) for row in rows] for rows in _blocks(table)]
    head = " & ".join(latex(column) for column in table.columns)
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(table.title)} ({latex(table.unit)})}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            rf"& {head} \\",
            *(line for block in blocks for line in [r"\midrule", *block]),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {latex(note)}" for note in _notes(table)),
            r"\end{table}",
            "",
        ]
    )


def _blocks(table: Table) -> list[list[Row]]:
    """The measured rows and the paper's, each in the order given; a block without rows is none."""
    sources = ("measured", "paper")
    blocks = [[row for row in table.rows if row.source == source] for source in sources]
    return [rows for rows in blocks if rows]


def _line(row: Row, table: Table, with_interval: str) -> list[str]:
    label = one_line(row.label)
    cells = [_shown(cell or UNKNOWN, table.digits, with_interval) for cell in row.cells]
    return [f"{label} (paper)" if row.source == "paper" else label, *cells]


def _shown(cell: Cell, digits: int, with_interval: str) -> str:
    if cell.value is None:
        return MISSING
    value = f"{cell.value:.{digits}f}"
    if cell.low is None or cell.high is None:
        return value
    return with_interval.format(value, f"{(cell.high - cell.low) / 2:.{digits}f}")


def _latex_line(row: Row, table: Table) -> str:
    label, *cells = _line(row, table, r"{}_{{\pm {}}}")
    return " & ".join([latex(label), *(cell if cell == MISSING else f"${cell}$" for cell in cells)]) + r" \\"


def _notes(table: Table) -> list[str]:
    return [one_line(f"{row.label}: {row.note}") for rows in _blocks(table) for row in rows if row.note]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    label, *cells = line
    numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
    return GAP.join([label.ljust(widths[0]), *numbers])

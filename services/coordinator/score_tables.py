"""Evaluations as a table beside the paper's. In: rows of evaluations of one benchmark. Out: text, CSV, LaTeX, JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import orjson

from services.coordinator.benchmarks.items import COLUMNS, JUDGED, Kind
from services.coordinator.benchmarks.paper import paper_rows
from services.coordinator.benchmarks.scores import Cell
from services.coordinator.benchmarks.tables import Row, Table, as_csv, as_latex, as_text
from shared.errors import Unprocessable
from shared.types import JsonObject

Format = Literal["json", "text", "csv", "latex"]
CONTENT_TYPES: dict[Format, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "latex": "application/x-tex; charset=utf-8",
}


def score_table(rows: Sequence[JsonObject]) -> Table:
    """A row for each evaluation, then the paper's. Unprocessable where they are of several benchmarks."""
    first = rows[0]
    if stray := next((row for row in rows if row["benchmark"] != first["benchmark"]), None):
        raise Unprocessable(
            f"beside: {stray['id']} is of {stray['benchmark']}, and {first['id']} of {first['benchmark']}; "
            "a table holds one benchmark",
            param="beside",
        )
    kind: Kind = first["kind"]
    names = COLUMNS[kind]
    unit = "% of the reference answers' scores" if kind == JUDGED else "% correct"
    measured = [_row(row, names) for row in rows]
    return Table(first["benchmark"], unit, names, (*measured, *paper_rows(kind)))


def _row(row: JsonObject, names: Sequence[str]) -> Row:
    scores = row["scores"] or {}
    cells = tuple(Cell(**scores[name]) if name in scores else None for name in names)
    settings = row["settings"]
    said = [settings["method"]] if settings["method"] != "letter" else []
    said += [] if settings["with_images"] else ["without pictures"]
    said += [] if row["status"] == "finished" else [row["status"]]
    return Row(row["model"]["label"], "measured", cells, ", ".join(said))


def rendered(table: Table, format: Format) -> bytes:
    if format == "json":
        return orjson.dumps(asdict(table))
    return {"text": as_text, "csv": as_csv, "latex": as_latex}[format](table).encode()

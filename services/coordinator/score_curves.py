"""A run's scores by iteration. Pure. In: its evaluations. Out: a curve for each benchmark and way of asking."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.benchmarks.items import COLUMNS, JUDGED, Kind
from services.coordinator.benchmarks.paper import STUDENT, TEACHER, paper_rows
from shared.types import JsonObject


@dataclass(frozen=True)
class ScoreCurve:
    """`rows` are evaluations with scores, one for each iteration that was measured, in order."""

    benchmark: str
    kind: Kind
    asked: str
    rows: tuple[JsonObject, ...]

    @property
    def title(self) -> str:
        return f"{self.benchmark}, {self.asked}"

    @property
    def column(self) -> str:
        """The name of the score over all questions, per cent."""
        return COLUMNS[self.kind][-1]

    @property
    def cells(self) -> list[JsonObject]:
        """That score of each row, with the bounds of its interval."""
        return [row["scores"][self.column] for row in self.rows]

    @property
    def paper(self) -> dict[str, float]:
        """The paper's teacher and student over all questions, by name."""
        found = {row.label: row.cells[-1] for row in paper_rows(self.kind)}
        return {
            name: cell.value
            for name in (TEACHER, STUDENT)
            if (cell := found[name]) and cell.value is not None
        }


def score_curves(rows: Sequence[JsonObject]) -> list[ScoreCurve]:
    """Of an iteration that was measured twice in the same way the newer counts."""
    ways: dict[tuple[str, Kind, str], dict[int, JsonObject]] = {}
    for row in rows:
        overall = (row["scores"] or {}).get(COLUMNS[row["kind"]][-1])
        if row["iteration"] is not None and overall and overall["value"] is not None:
            way = (row["benchmark"], row["kind"], how(row["kind"], row["settings"]))
            known = ways.setdefault(way, {}).get(row["iteration"])
            if known is None or known["created_at"] < row["created_at"]:
                ways[way][row["iteration"]] = row
    return [ScoreCurve(*way, tuple(row for _, row in sorted(of.items()))) for way, of in sorted(ways.items())]


def how(kind: Kind, settings: JsonObject) -> str:
    """What of the settings is worth a word beside the model's name."""
    judged = f"judged by the {'picture' if settings['judge_sees'] == 'image' else 'captions and boxes'}"
    said = [judged if kind == JUDGED else f"by {settings['method']}"]
    if not settings["with_images"]:
        said.append("without pictures")
    if settings["method"] != "likelihood":
        said.append(f"temperature {settings['temperature']:g}")
    if settings["seed"]:
        said.append(f"seed {settings['seed']}")
    return ", ".join(said)

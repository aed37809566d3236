"""The results that the paper gives (arXiv 2311.08213), as rows of the same tables. Out: constants.

The column of all items is the paper's text; ScienceQA's other columns are those that ScienceQA's authors list for
the paper on their leaderboard (github.com/lupantech/ScienceQA), and they average to the paper's number. What is not
known from either is None.
"""

from services.coordinator.benchmarks.items import COLUMNS, Kind
from services.coordinator.benchmarks.scores import Cell
from services.coordinator.benchmarks.tables import Row

TEACHER = "LLaVA-13B, the teacher"
STUDENT = "CoMD-7B"
WITHOUT_STAGE_1 = "CoMD-7B without stage 1"

_SCIENCEQA_TEACHER = (90.36, 95.95, 88.00, 89.49, 88.00, 90.66, 90.93, 90.90, 90.92)
_SCIENCEQA_STUDENT = (91.83, 95.95, 88.91, 90.91, 89.94, 91.08, 92.47, 90.97, 91.94)

# ScienceQA's average by the threshold of difficulty (the paper's table 4)
SCIENCEQA_BY_TAU = {0.0: 91.08, 0.33: 91.94, 0.67: 91.32, 1.0: 91.06}


def paper_rows(kind: Kind) -> tuple[Row, ...]:
    """The paper's teacher, its student, and its student without stage 1 (its table 5)."""
    return _ROWS[kind]


def _row(kind: Kind, label: str, *values: float) -> Row:
    """With one value it is that of all items."""
    known = values if len(values) > 1 else (*(None for _ in COLUMNS[kind][1:]), *values)
    cells = tuple(None if value is None else Cell(value, None, None, None) for value in known)
    return Row(label, "paper", cells, "")


_ROWS: dict[Kind, tuple[Row, ...]] = {
    "scienceqa": (
        _row("scienceqa", TEACHER, *_SCIENCEQA_TEACHER),
        _row("scienceqa", STUDENT, *_SCIENCEQA_STUDENT),
        _row("scienceqa", WITHOUT_STAGE_1, 86.43),
    ),
    "seed-bench": (
        _row("seed-bench", TEACHER, 48.43),
        _row("seed-bench", STUDENT, 50.90),
        _row("seed-bench", WITHOUT_STAGE_1, 42.31),
    ),
    "llava-bench": (
        _row("llava-bench", TEACHER, 85.1),
        _row("llava-bench", STUDENT, 85.7),
        _row("llava-bench", WITHOUT_STAGE_1, 78.88),
    ),
}

"""Tables as text, CSV and LaTeX: the paper's rows apart and marked, nothing in a label acts on its reader."""

import csv
import io

import pytest

from services.coordinator.benchmarks.items import COLUMNS, Kind
from services.coordinator.benchmarks.paper import SCIENCEQA_BY_TAU, paper_rows
from services.coordinator.benchmarks.scores import Cell
from services.coordinator.benchmarks.tables import Row, Table, as_csv, as_latex, as_text

OURS = Row("student 2", "measured", (Cell(91.5, 90.25, 92.25, 400), None), "without pictures")
EMPTY = Row("student 3", "measured", (Cell(None, None, None, 0), Cell(7.0, None, None, 4)))
PAPER = Row("CoMD-7B", "paper", (Cell(91.94, None, None, None), None))
TABLE = Table("ScienceQA, test", "accuracy in %", ("AVG", "G1-6"), (PAPER, OURS, EMPTY))


def test_text() -> None:
    assert as_text(TABLE) == (
        "ScienceQA, test (accuracy in %)\n"
        "                         AVG  G1-6\n"
        "----------------------------------\n"
        "student 2        91.50 ±1.00     -\n"
        "student 3                  -  7.00\n"
        "----------------------------------\n"
        "CoMD-7B (paper)        91.94     -\n"
        "student 2: without pictures\n"
    )


def test_csv() -> None:
    assert as_csv(TABLE) == (
        "label,source,AVG,AVG low,AVG high,AVG num,G1-6,G1-6 low,G1-6 high,G1-6 num,note\n"
        "student 2,measured,91.5,90.25,92.25,400,,,,,without pictures\n"
        "student 3,measured,,,,0,7.0,,,4,\n"
        "CoMD-7B,paper,91.94,,,,,,,,\n"
    )


def test_latex() -> None:
    assert as_latex(TABLE) == (
        "% \\usepackage{booktabs}\n"
        "\\begin{table}\n"
        "\\centering\n"
        "\\caption{ScienceQA, test (accuracy in \\%)}\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        "& AVG & G1-6 \\\\\n"
        "\\midrule\n"
        "student 2 & $91.50_{\\pm 1.00}$ & - \\\\\n"
        "student 3 & - & $7.00$ \\\\\n"
        "\\midrule\n"
        "CoMD-7B (paper) & $91.94$ & - \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "\\par\\footnotesize student 2: without pictures\n"
        "\\end{table}\n"
    )


def test_a_label_acts_on_no_reader() -> None:
    nasty = Row("=1+1 & \\input{x}_% \n~^$#{}", "measured", (Cell(1.0, None, None, 1),), "a\nb")
    table = Table("t_1", "%", ("A&B",), (nasty,))
    escaped = r"=1+1 \& \textbackslash{}input\{x\}\_\% \textasciitilde{}\textasciicircum{}\$\#\{\}"
    assert f"{escaped} & $1.00$ \\\\" in as_latex(table)
    assert "\\caption{t\\_1 (\\%)}\n" in as_latex(table)
    assert "& A\\&B \\\\\n" in as_latex(table)
    assert as_latex(table).count("\n") == 13
    assert next(csv.reader(io.StringIO(as_csv(table).split("\n", 1)[1])))[0].startswith("'=1+1")
    assert as_text(table).count("\n") == 5


def test_digits_are_the_tables() -> None:
    table = Table(
        "LLaVA test set", "% of the reference", ("all",), (Row("s", "measured", (OURS.cells[0],)),), 1
    )
    assert "91.5 ±1.0" in as_text(table)


def test_a_table_of_one_source_has_no_second_line() -> None:
    measured, paper = Table("t", "%", ("AVG", "G1-6"), (OURS,)), Table("t", "%", ("AVG", "G1-6"), (PAPER,))
    assert sum(line.startswith("---") for line in as_text(measured).splitlines()) == 1
    assert as_latex(paper).count("midrule") == 1
    assert as_text(Table("t", "%", ("AVG",), ())) == "t (%)\n  AVG\n"


@pytest.mark.parametrize(
    ("kind", "teacher", "student", "without_stage_1"),
    [
        ("scienceqa", 90.92, 91.94, 86.43),
        ("seed-bench", 48.43, 50.90, 42.31),
        ("llava-bench", 85.1, 85.7, 78.88),
    ],
)
def test_the_papers_rows(kind: Kind, teacher: float, student: float, without_stage_1: float) -> None:
    rows = paper_rows(kind)
    totals = [row.cells[-1] and row.cells[-1].value for row in rows]
    assert totals == [teacher, student, without_stage_1]
    assert all(row.source == "paper" and len(row.cells) == len(COLUMNS[kind]) for row in rows)
    assert all(cell.low is None and cell.num is None for row in rows for cell in row.cells if cell)
    if kind != "scienceqa":
        assert all(cell is None for row in rows for cell in row.cells[:-1])


def test_scienceqas_subjects_average_to_the_papers_number() -> None:
    """By the test split's questions of each subject, with which every full row of the leaderboard averages right."""
    for row in paper_rows("scienceqa")[:2]:
        *subjects, average = [cell.value for cell in (*row.cells[:3], row.cells[-1]) if cell and cell.value]
        weighted = sum(num * value for num, value in zip((2252, 889, 1100), subjects, strict=True)) / 4241
        assert weighted == pytest.approx(average, abs=0.01)


def test_the_papers_thresholds() -> None:
    assert SCIENCEQA_BY_TAU == {0.0: 91.08, 0.33: 91.94, 0.67: 91.32, 1.0: 91.06}

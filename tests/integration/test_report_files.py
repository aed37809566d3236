"""What `comd report` writes: figures in publication form, numbers beside them, tables that open harmlessly."""

import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comd.report import drawing
from comd.report.figures import figures
from comd.report.material import Material
from comd.report.writing import write_report
from shared.errors import ConfigError
from tests.run_reports import CURVES, HOSTILE, NOTHING, START, iteration, picture, report

FULL = report(START, iteration(1), iteration(2, heldout_accuracy=0.6))
WITHOUT_ACCURACY = ["difficulty", "scores", "verdicts", "pools", "usage"]


def written(folder: Path, found: dict[str, Any], curves: Any = CURVES, failures: Any = ()) -> list[Path]:
    return write_report(folder, Material(found, curves, failures, picture))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_every_figure_is_written_for_print_with_its_numbers(tmp_path: Path) -> None:
    files = written(tmp_path, FULL)
    names = {path.stem for path in files if path.parent.name == "figures"}
    assert names == {figure.name for figure in figures(FULL, CURVES)}
    assert len(names) == 9
    for name in names:
        with Image.open(tmp_path / "figures" / f"{name}.png") as drawn:
            assert round(drawn.width / 300, 2) in {drawing.SINGLE, drawing.DOUBLE}
            assert drawn.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        svg = (tmp_path / "figures" / f"{name}.svg").read_text()
        ElementTree.fromstring(svg)
        assert "<text" not in svg  # letters are outlines: no font is needed to show them
    accuracy = table(tmp_path / "figures" / "heldout_accuracy.csv")
    assert accuracy[:2] == [["iteration", "kind", "accuracy"], ["0", "all kinds", "0.05"]]
    assert table(tmp_path / "figures" / "training.csv")[2] == ["1", "2", "0.5", "2e-05"]
    assert ["1", "not novel", "280"] in table(tmp_path / "figures" / "candidates.csv")


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    figure = figures(FULL, CURVES)[3]
    both = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        both.append([path.read_bytes() for path in drawing.draw(figure, tmp_path / name)])
    assert both[0] == both[1]


def test_hostile_text_harms_neither_figures_nor_tables(tmp_path: Path) -> None:
    quick: dict[str, Any] = dict.fromkeys(
        ("difficulty_histogram", "score_histogram", "verdicts", "tuning_pool")
    )
    row = iteration(1, heldout_by_kind={HOSTILE: 0.5}, rejected_by_reason={HOSTILE: 3, "-1+1": 2}, **quick)
    failed = {"iteration": 1, "phase": "teaching", "image": None, "instruction_id": "7", "attempts": 3}
    written(tmp_path, report(row, name=HOSTILE), {}, [{**failed, "text": HOSTILE, "reason": "+1"}])
    ElementTree.parse(tmp_path / "figures" / "heldout_accuracy.svg")
    kinds = [line[1] for line in table(tmp_path / "figures" / "heldout_accuracy.csv")]
    assert kinds[-1] == f"'{HOSTILE}"
    assert table(tmp_path / "figures" / "candidates.csv")[-1][1] == "'-1+1"
    assert table(tmp_path / "tables" / "failures.csv")[1][4:] == [f"'{HOSTILE}", "'+1", "3"]
    latex = (tmp_path / "tables" / "iterations.tex").read_text()
    assert r"\textbackslash{}input\{/etc/passwd\}" in latex
    assert r"\$x\textasciicircum{}\{2\$" in latex
    assert "\u202e" not in latex


@pytest.mark.parametrize(
    ("iterations", "names"),
    [
        ((), []),
        ((START,), ["heldout_accuracy", "usage"]),
        ((iteration(1, **NOTHING),), ["usage"]),
        ((iteration(1, heldout_accuracy=None, heldout_by_kind=None, accepted=None),), WITHOUT_ACCURACY),
    ],
)
def test_only_what_was_measured_has_a_figure(
    iterations: tuple[dict[str, Any], ...], names: list[str]
) -> None:
    assert [figure.name for figure in figures(report(*iterations), {1: []})] == names


@pytest.mark.parametrize("iterations", [(), (iteration(1, **NOTHING),)])
def test_a_run_in_any_state_has_its_tables(tmp_path: Path, iterations: tuple[dict[str, Any], ...]) -> None:
    written(tmp_path, report(*iterations), {})
    assert len(table(tmp_path / "tables" / "iterations.csv")) == 1 + len(iterations)
    assert r"\toprule" in (tmp_path / "tables" / "iterations.tex").read_text()


def test_without_matplotlib_the_extra_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'comd\[report\]'"):
        written(tmp_path / "out", FULL)
    assert not (tmp_path / "out").exists()

"""The report page and its words, from the coordinator's report of a run."""

import re
from typing import Any

import pytest

from comd.report import story
from comd.report.material import Material
from comd.report.page import render
from tests.run_reports import CURVES, EXAMPLE, HOSTILE, NOTHING, START, iteration, picture, report

REPORT = {**report(START, iteration(1)), "examples": [EXAMPLE]}


def page_of(found: dict[str, Any], title: str = "Title") -> str:
    """The page of a run without curves."""
    return render(Material(found, {}, (), picture), title, title)


def test_the_page_is_whole_self_contained_and_escapes_what_models_say() -> None:
    page = render(Material(REPORT, CURVES, (), picture), "Title", "Subtitle", ["make up"])
    assert "What is &lt;b&gt;here&lt;/b&gt;?" in page
    assert "Blue &amp; green." in page
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    # accuracy; loss and rate of both stages; scores, difficulty, verdicts, candidates, pools; three of usage
    assert page.count("<svg") == 1 + 4 + 5 + 3
    assert "data:image/png;base64," in page
    assert "make up" in page
    assert "training.batch_size" in page
    assert "lora_rank" not in page


def test_hostile_text_is_text_and_long_text_is_short() -> None:
    answer = HOSTILE * 10_000  # about 1 MB
    said = {key: answer for key in ("instruction", "teacher_answer", "student_before", "new_question")}
    row = iteration(1, heldout_by_kind={HOSTILE: 0.5}, rejected_by_reason={HOSTILE: 3})
    found = report(row, name=HOSTILE, reason=HOSTILE, dataset=HOSTILE, config={HOSTILE: HOSTILE})
    found |= {"warnings": [answer], "examples": [{**EXAMPLE, **said, "kind": HOSTILE}]}
    page = page_of(found, HOSTILE)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert len(page) < 100_000
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("iterations", "run", "said"),
    [
        ((), {"status": "created", "target": 0}, "It has not begun"),
        ((START,), {"status": "running", "target": 4}, "is running after 0 of 4 trainings"),
        (
            (iteration(1, **NOTHING),),
            {"status": "failed", "reason": "no disk"},
            "after 0 of 1 training: no disk.",
        ),
        ((iteration(1),), {"status": "cancelled", "target": 2}, "is cancelled after 1 of 2 trainings"),
        ((iteration(1, heldout_accuracy=None, heldout_by_kind=None),), {}, "accuracy has not been measured"),
    ],
)
def test_a_run_in_any_state_has_a_page(iterations: Any, run: dict[str, Any], said: str) -> None:
    assert said in page_of(report(*iterations, **run))


def test_what_failed_is_listed_with_its_causes() -> None:
    ended = {"failed": 3, "items": 40, "reasons": [{"reason": "no <reply>", "failed": 3}]}
    page = page_of(report(iteration(1, endings={"teaching": ended})))
    assert "<td>3 of 40</td><td>3 x no &lt;reply&gt;</td>" in page


def test_what_an_iteration_does_not_have_is_a_dash() -> None:
    row = story.rows([START])[0]
    assert row[1:9] == ["-"] * 8
    assert row[11:] == ["-", "20", "-", "-", "-"]  # stage 1 stands in the column of trainings


def test_the_story_names_the_numbers() -> None:
    start, first = story.tell(START, None), story.tell(iteration(1), START)
    assert "held-out accuracy is 0.050" in " ".join(start)
    told = " ".join(first)
    for said in ("3,000", "0.520 (+0.470)", "1,200 are difficult", "2,100 new instructions"):
        assert said in told
    assert "Warning" not in told


def test_many_unjudged_verdicts_are_a_warning() -> None:
    told = " ".join(story.tell(iteration(1, unjudged=61), None))
    assert "Warning: 61 verdicts could not be read (2.0%)" in told

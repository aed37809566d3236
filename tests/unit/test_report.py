"""The report page and its words, from the coordinator's report of a run."""

import io
import re
from typing import Any

from PIL import Image

from comd.report import story
from comd.report.page import render


def picture(_: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return buffer.getvalue()


def iteration(number: int, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "phase": "complete",
        "tuning_pool": 3000,
        "cache_pool": 3000,
        "difficult": 1200,
        "easy": 1200,
        "accepted": 2100,
        "rejected": 300,
        "unjudged": 4,
        "dropped": 12,
        "mean_difficulty": 0.41,
        "train_loss": 0.5,
        "heldout_accuracy": 0.52,
        "heldout_by_kind": {"colour": 0.9, "count": 0.14},
        "seconds": {"teaching": 12.0, "training": 40.2, "selecting": 0.1},
        "score_histogram": {"teacher": [0] * 9 + [10], "student": [5] + [0] * 8 + [5]},
        "difficulty_histogram": [0, 5, 0, 0, 0, 0, 0, 0, 2, 3],
        **more,
    }


NOTHING = dict.fromkeys(
    ["tuning_pool", "cache_pool", "difficult", "easy", "accepted", "rejected", "unjudged", "mean_difficulty"]
)
START = iteration(
    0,
    **NOTHING,
    heldout_accuracy=0.05,
    heldout_by_kind={"colour": 0.1, "count": 0.0},
    seconds={"pretraining": 20.0},
    score_histogram=None,
    difficulty_histogram=None,
)
EXAMPLE = {
    "image": "ab" * 32,
    "instruction": "What is <b>here</b>?",
    "kind": "colour",
    "difficulty": 0.9,
    "iteration": 1,
    "after_iteration": 2,
    "teacher_answer": "Red.",
    "student_before": "Blue & green.",
    "student_after": "Red.",
    "runs": [{"order": "teacher_first", "teacher_score": 9, "student_score": 2, "evidence": "It is red."}],
    "new_question": "Name the colour there.",
}
REPORT = {
    "start_accuracy": 0.05,
    "final_accuracy": 0.52,
    "tau": 0.33,
    "iterations": [START, iteration(1)],
    "examples": [EXAMPLE],
}


def test_the_page_is_whole_self_contained_and_escapes_what_models_say() -> None:
    page = render(REPORT, picture, "Title", "Subtitle", ["make up"])
    assert "What is &lt;b&gt;here&lt;/b&gt;?" in page
    assert "Blue &amp; green." in page
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert page.count("<svg") == 3  # the curve, one histogram of scores, one of difficulty
    assert "data:image/png;base64," in page
    assert "make up" in page


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

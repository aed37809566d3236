"""The facts of a selection, against captions with planted frequencies, and the page that shows them."""

import re
from pathlib import Path
from typing import Any

import pytest

from comd.report.captions import render
from services.trainer.captions.report import curve, facts
from tests.caption_work import make_work, write_table
from tests.tiny_student import picture

SETTINGS = {"min_frequency": 3, "cap": 10, "seed": 0, "pipeline": "tiny"}
COUNTS = {"pairs_in": 245, "duplicates": 2, "pairs_out": 33, "phrases": 5, "phrases_kept": 3}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """200 dogs, 20 cats of which 3 have a <b>sofa</b>, a unicorn, 2 kites."""
    captions = {f"dog-{n}": ["a dog"] for n in range(200)}
    captions |= {f"cat-{n}": ["a cat", "a <b>sofa</b>"] if n < 3 else ["a cat"] for n in range(20)}
    captions |= {"unicorn": ["a unicorn"], "kite-0": ["a kite"], "kite-1": ["a kite"]}
    work = make_work(tmp_path, captions, cap=10)
    for part, reasons in enumerate((["empty", "no picture"], ["empty", "empty"])):
        rows = [{"source": "a.tsv", "position": 7, "id": None, "reason": reason} for reason in reasons]
        write_table(
            work / "refused" / f"part-{part:05d}.parquet", rows, ["source", "position", "id", "reason"]
        )
    write_table(work / "duplicates.parquet", [{"id": "dog-1", "row": n} for n in (300, 301)], ["id", "row"])
    return facts(work, COUNTS, SETTINGS)


def test_the_facts_are_those_that_were_planted(told: dict[str, Any]) -> None:
    assert (told["pairs_read"], told["pairs_in"], told["refused"]) == (249, 245, 4)
    assert list(told["refused_by_reason"].items()) == [("empty", 3), ("no picture", 1)]
    assert told["refusals"][0] == {"source": "a.tsv", "position": 7, "id": None, "reason": "empty"}
    assert [(row["phrase"], row["frequency"]) for row in told["commonest"][:2]] == [
        ("a dog", 200),
        ("a cat", 20),
    ]
    assert told["commonest"][0]["selected"] == 10
    assert told["duplicate_ids"] == [{"id": "dog-1", "row": 300}, {"id": "dog-1", "row": 301}]
    assert [row["phrase"] for row in told["rarest"]] == ["a <b>sofa</b>", "a cat", "a dog"]
    assert [one["phrase"] for one in told["examples"]] == ["a <b>sofa</b>", "a cat", "a dog"]
    assert told["examples"][0]["frequency"] == 3


def test_the_curve_is_frequency_by_rank_before_and_after(told: dict[str, Any]) -> None:
    assert told["curve"]["before"] == [(1, 200), (2, 20), (3, 3), (4, 2), (5, 1)]
    after = dict(told["curve"]["after"])
    assert after[1] >= after[2] >= after[3] == 3
    assert max(after) == 3  # unicorn and kite are not in the selection


def test_a_long_curve_keeps_its_ends_and_few_points() -> None:
    zipf = {max(1_000_000 // rank, 1): 0 for rank in range(1, 200_000)}
    for rank in range(1, 200_000):
        zipf[max(1_000_000 // rank, 1)] += 1
    drawn = curve(zipf)
    assert drawn[0] == (1, 1_000_000)
    assert drawn[-1] == (199_999, 5)
    assert len(drawn) < 80
    assert all(frequency == pytest.approx(1_000_000 / rank, rel=0.5) for rank, frequency in drawn)


def test_a_curve_falls_where_its_frequencies_do() -> None:
    assert curve({14: 450, 1: 541})[-3:] == [(450, 14), (451, 1), (991, 1)]


def test_the_page_is_self_contained_and_escapes_what_captions_say(
    told: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("cat-0", "cat-1", "cat-2"):
        (tmp_path / f"{name}.jpg").write_bytes(picture(200))
    page = render(told, tmp_path)
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert (
        page.count('src="data:image/jpeg;base64,') == 1
    )  # one example's picture is there, the others' are not
    assert "<b>sofa</b>" not in page
    assert "a &lt;b&gt;sofa&lt;/b&gt;" in page
    for said in (
        "Of 245 pairs 33 were selected (13.5%)",
        "2 of 5 noun phrases",
        "<td>no picture</td><td>1</td>",
    ):
        assert said in page
    assert page.count("<polyline") == 2
    assert "src=" not in render(told, None)


def test_a_selection_of_nothing_has_a_page(tmp_path: Path) -> None:
    counts = dict.fromkeys(COUNTS, 0)
    told = facts(make_work(tmp_path, {}), counts, SETTINGS)
    assert told["curve"] == {"before": [], "after": []}
    assert "Nothing was selected." in render(told, None)

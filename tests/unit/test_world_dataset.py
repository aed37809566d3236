"""The data sets on disk: LLaVA forms, skewed seeds, held-out pictures of other layouts, the same bytes by seed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from comd.world.dataset import MAX_QUESTIONS, write
from comd.world.grammar import answer, parse
from comd.world.perception import perceive
from comd.world.phrasing import KINDS
from comd.world.scene import is_heldout

NUM_PICTURES, NUM_HELDOUT = 80, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world")
    write(path, 3, NUM_PICTURES, num_heldout_per_kind=NUM_HELDOUT)
    return path


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((folder / name).read_text())
    return records


def said(record: dict[str, Any]) -> tuple[str, str]:
    human, gpt = record["conversations"]
    assert (human["from"], gpt["from"]) == ("human", "gpt")
    assert human["value"].startswith("<image>\n")
    return human["value"].removeprefix("<image>\n"), gpt["value"]


@pytest.mark.parametrize(("name", "images"), [("instruct.json", "images"), ("heldout.json", "heldout")])
def test_every_answer_is_true_of_the_pixels(folder: Path, name: str, images: str) -> None:
    for record in load(folder, name):
        question, reply = said(record)
        scene, query = perceive((folder / images / record["image"]).read_bytes()), parse(question)
        assert scene is not None
        assert query is not None
        assert query.kind == record["type"]
        assert reply == answer(query, scene)
        assert is_heldout(scene) is (images == "heldout")


def test_seeds_are_skewed_and_few_a_picture(folder: Path) -> None:
    records = load(folder, "instruct.json")
    kinds = Counter(record["type"] for record in records)
    assert set(kinds) == set(KINDS)
    assert kinds["colour"] > 3 * max(kinds[kind] for kind in KINDS if kind != "colour")
    assert max(Counter(record["image"] for record in records).values()) <= MAX_QUESTIONS
    assert len({record["id"] for record in records}) == len(records) == 2 * NUM_PICTURES


def test_held_out_questions_are_equal_in_number_by_kind(folder: Path) -> None:
    assert set(Counter(record["type"] for record in load(folder, "heldout.json")).values()) == {NUM_HELDOUT}


def test_every_picture_has_a_caption(folder: Path) -> None:
    captions = load(folder, "captions.json")
    assert [record["image"] for record in captions] == sorted(
        path.name for path in (folder / "images").iterdir()
    )
    assert all(said(record)[1].endswith(".") for record in captions)


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, 3, NUM_PICTURES, num_heldout_per_kind=NUM_HELDOUT)
    for path in folder.rglob("*.*"):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_more_questions_than_allowed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="between 1 and 3"):
        write(tmp_path, 0, 1, num_questions=4)

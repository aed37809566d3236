"""Writes the world as data sets on disk, in the LLaVA JSON forms that real data come in.

In: a folder, a seed and sizes. Out: pictures, `instruct.json`, `captions.json` and `heldout.json`.
"""

import json
from pathlib import Path
from random import Random

from comd.world.grammar import Query, answer, caption, compose, queries
from comd.world.phrasing import KINDS
from comd.world.render import draw_scene
from comd.world.scene import Scene, random_scene_of

Record = dict[str, object]

COMMON_KIND, COMMON_SHARE = "colour", 0.6
"""The seed pool is skewed, as real data are; the other kinds share what is left."""
CAPTION_REQUEST = "Caption this picture."
MAX_QUESTIONS = 3


def write(
    folder: Path,
    seed: int,
    num_pictures: int,
    *,
    num_questions: int = 2,
    num_heldout_per_kind: int = 60,
) -> None:
    """Writes everything under `folder`; the same arguments write the same bytes."""
    if not 1 <= num_questions <= MAX_QUESTIONS:
        raise ValueError(f"num_questions must lie between 1 and {MAX_QUESTIONS}, not {num_questions}")
    folder.mkdir(parents=True, exist_ok=True)
    instruct, captions = training_records(
        folder / "images", Random(f"train|{seed}"), num_pictures, num_questions
    )
    _dump(folder / "instruct.json", instruct)
    _dump(folder / "captions.json", captions)
    _dump(
        folder / "heldout.json",
        heldout_records(folder / "heldout", Random(f"heldout|{seed}"), num_heldout_per_kind),
    )


def training_records(
    images: Path, rng: Random, num_pictures: int, num_questions: int
) -> tuple[list[Record], list[Record]]:
    """Draws the training pictures into `images`; their questions, one record each, and their captions."""
    images.mkdir(parents=True, exist_ok=True)
    instruct: list[Record] = []
    captions: list[Record] = []
    for number in range(num_pictures):
        name = f"{number:06d}.png"
        scene = random_scene_of(rng, heldout=False)
        draw_scene(scene, rng).save(images / name)
        captions.append(record(f"{number:06d}-caption", name, "caption", CAPTION_REQUEST, caption(scene)))
        for turn, (query, question) in enumerate(seed_questions(scene, num_questions, rng)):
            instruct.append(_ask(f"{number:06d}-{turn}", name, query, question, scene))
    return instruct, captions


def heldout_records(images: Path, rng: Random, num_per_kind: int) -> list[Record]:
    """Draws pictures of held-out layouts into `images`; one question about each, kinds in turn."""
    images.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for number in range(num_per_kind * len(KINDS)):
        kind = KINDS[number % len(KINDS)]
        scene = random_scene_of(rng, heldout=True)
        while not (possible := queries(scene, kind)):
            scene = random_scene_of(rng, heldout=True)
        draw_scene(scene, rng).save(images / f"h{number:05d}.png")
        query = rng.choice(possible)
        records.append(_ask(f"h{number:05d}", f"h{number:05d}.png", query, compose(query, rng), scene))
    return records


def seed_questions(scene: Scene, num_questions: int, rng: Random) -> list[tuple[Query, str]]:
    """Distinct questions about one picture, most of them of the common kind."""
    asked: dict[str, Query] = {}
    while len(asked) < num_questions:
        rare = [kind for kind in KINDS if kind != COMMON_KIND and queries(scene, kind)]
        kind = COMMON_KIND if rng.random() < COMMON_SHARE else rng.choice(rare)
        query = rng.choice(queries(scene, kind))
        asked[compose(query, rng)] = query
    return [(query, question) for question, query in asked.items()]


def record(identity: str, image: str, kind: str, question: str, reply: str) -> Record:
    """One dialogue of two turns in the LLaVA form, with its kind beside it."""
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": reply}]
    return {"id": identity, "image": image, "type": kind, "conversations": turns}


def _ask(identity: str, image: str, query: Query, question: str, scene: Scene) -> Record:
    truth = answer(query, scene)
    assert truth is not None, "only questions with an answer are asked"
    return record(identity, image, query.kind, question, truth)


def _dump(path: Path, records: list[Record]) -> None:
    path.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

"""The CoMD loop in one process: the scripted engine's roles as functions, the demo student in plain PyTorch.

In: a schedule, a seed and a way to choose parents. Out: what each iteration did. No service, queue or database.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from PIL import Image

from benchmarks.plain_student import PlainStudent, Record
from comd.scripted.answering import teach
from comd.scripted.judging import quality, score
from comd.world.dataset import CAPTION_REQUEST, seed_questions
from comd.world.grammar import answer, caption, compose, new_question, normalise, parse, queries
from comd.world.phrasing import KINDS
from comd.world.render import draw_scene
from comd.world.scene import Scene, random_scene_of
from services.assessor.difficulty import difficulty
from services.augmentor.novelty import is_novel

TAU = 0.33
TEACHER_ERROR_RATE = 0.03
MAX_ATTEMPTS = 3
NUM_ITERATIONS = 4
NUM_HELDOUT_PER_KIND = 60


@dataclass(frozen=True)
class Schedule:
    """How large the pools are and how long each training lasts."""

    num_pictures: int = 1800
    num_questions: int = 2
    batch: int = 16
    stage1_epochs: int = 2
    stage1_rate: float = 2e-3
    rate: float = 1e-3
    epochs_first: int = 2
    epochs_later: int = 6


@dataclass(frozen=True)
class Question:
    """One instruction: its picture's number, its text and when it was born."""

    id: int
    picture: int
    text: str
    kind: str


@dataclass
class World:
    """The pictures of one seed, and what the pools hold so far."""

    scenes: list[Scene]
    pictures: list[Image.Image]
    heldout: list[tuple[int, str, str, str]]
    pool: list[Question] = field(default_factory=list)
    taught: dict[int, str] = field(default_factory=dict)


Row = dict[str, Any]

Choose = Callable[[list[Question], dict[int, float], int], list[Question]]
"""(cache pool, difficulty by id, seed) -> the parents of the next questions."""


def noise(*parts: object) -> Random:
    """Randomness known by what it is for."""
    return Random(sha256("|".join(map(str, parts)).encode()).digest())


def make_world(schedule: Schedule, seed: int) -> World:
    """Training pictures with their seed questions, then held-out ones, a question of one kind about each."""
    rng = Random(f"world|{seed}")
    scenes = [random_scene_of(rng, heldout=False) for _ in range(schedule.num_pictures)]
    seeds = [
        Question(_identity(number, text), number, text, query.kind)
        for number, scene in enumerate(scenes)
        for query, text in seed_questions(scene, schedule.num_questions, rng)
    ]
    heldout: list[tuple[int, str, str, str]] = []
    for kind in KINDS:
        for _ in range(NUM_HELDOUT_PER_KIND):
            scene = random_scene_of(rng, heldout=True)
            while not (possible := queries(scene, kind)):
                scene = random_scene_of(rng, heldout=True)
            query = rng.choice(possible)
            heldout.append((len(scenes), kind, compose(query, rng), answer(query, scene) or ""))
            scenes.append(scene)
    return World(scenes, [draw_scene(scene, rng) for scene in scenes], heldout, seeds)


def captions(world: World, schedule: Schedule) -> list[Record]:
    """Stage 1's records: each training picture described."""
    return [
        Record(number, [(CAPTION_REQUEST, caption(world.scenes[number]))])
        for number in range(schedule.num_pictures)
    ]


@dataclass(frozen=True)
class Target:
    """What a control is to match of the loop's iteration: questions born, and optimiser steps an epoch."""

    tuning_pool: int
    steps_per_epoch: int


def run_loop(
    world: World, student: PlainStudent, schedule: Schedule, choose: Choose, seed: int, targets: list[Target]
) -> list[Row]:
    """Iterations 2 to 4 of a student that has had its first training. With targets it is a control."""
    rows: list[Row] = []
    for number in range(2, NUM_ITERATIONS + 1):
        target = targets[number - 2] if targets else None
        began = time.process_time()
        scores = {} if target else assess(world, student, seed, number)
        parents = choose(world.pool, scores, seed * 10 + number)
        born, attempts = augment(world, parents, seed, number, target.tuning_pool if target else None)
        row: Row = {
            "assessed": len(scores),
            "difficult": sum(value >= TAU for value in scores.values()),
            "parents": len(parents),
            "attempts": attempts,
            "assess_cpu_s": round(time.process_time() - began, 1),
        }
        world.pool = world.pool + born
        steps = target.steps_per_epoch if target else None
        rows.append({**row, **tune(world, student, born, schedule, seed, number, steps)})
    return rows


def tune(
    world: World,
    student: PlainStudent,
    pool: list[Question],
    schedule: Schedule,
    seed: int,
    number: int,
    steps_per_epoch: int | None = None,
) -> Row:
    """One training on a pool, and the held-out accuracy after it."""
    began = time.process_time()
    turns: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for question in pool:
        reply = teach(
            question.text, world.scenes[question.picture], TEACHER_ERROR_RATE, noise("T", seed, question.id)
        )
        world.taught[question.id] = reply
        turns[question.picture].append((question.text, reply))
    records = [Record(picture, dialogue) for picture, dialogue in turns.items()]
    # A control's questions lie on other numbers of pictures: its batches are sized for the same number of steps.
    batch = math.ceil(len(records) / steps_per_epoch) if steps_per_epoch else schedule.batch
    epochs = schedule.epochs_first if number == 1 else schedule.epochs_later
    loss = student.train(
        records, epochs=epochs, batch=batch, learning_rate=schedule.rate, seed=seed, projector_only=False
    )
    spent = time.process_time() - began
    kinds = accuracy(world, student)
    return {
        "tuning_pool": len(pool),
        "records": len(records),
        "steps_per_epoch": math.ceil(len(records) / batch),
        "train_loss": round(loss, 4),
        "train_cpu_s": round(spent, 1),
        "by_kind": kinds,
        "accuracy": round(sum(kinds.values()) / len(kinds), 4),
    }


def accuracy(world: World, student: PlainStudent) -> dict[str, float]:
    """Share of held-out questions answered rightly, greedily, by kind."""
    said = student.answer([(picture, text) for picture, _, text, _ in world.heldout], temperature=0, seed=0)
    right: dict[str, list[bool]] = defaultdict(list)
    for (_, kind, _, truth), reply in zip(world.heldout, said, strict=True):
        right[kind].append(normalise(reply) == normalise(truth))
    return {kind: round(sum(hits) / len(hits), 4) for kind, hits in right.items()}


def assess(world: World, student: PlainStudent, seed: int, number: int) -> dict[int, float]:
    """The difficulty of every question of the cache pool, judged in both orders."""
    said = student.answer(
        [(q.picture, q.text) for q in world.pool], temperature=0.5, seed=seed * 100 + number
    )
    result: dict[int, float] = {}
    for question, reply in zip(world.pool, said, strict=True):
        scene, query = world.scenes[question.picture], parse(question.text)
        truth = answer(query, scene) if query else None
        rng = noise("R", seed, number, question.id)
        grades = [quality(text, query, truth) for text in (reply, world.taught[question.id])]
        of_student, of_teacher = ((score(grade, rng) + score(grade, rng)) / 2 for grade in grades)
        result[question.id] = difficulty(of_student, of_teacher)
    return result


def augment(
    world: World, parents: list[Question], seed: int, number: int, limit: int | None
) -> tuple[list[Question], int]:
    """At most one new question a parent, novel for its picture; and how many attempts that took.

    With a limit, parents are used in their order until that many questions are born.
    """
    texts: dict[int, list[str]] = defaultdict(list)
    for question in world.pool:
        texts[question.picture].append(question.text)
    born: list[Question] = []
    attempts = 0
    for parent in parents:
        if limit is not None and len(born) == limit:
            break
        for attempt in range(MAX_ATTEMPTS):
            attempts += 1
            rng = noise("G", seed, number, parent.id, attempt)
            text = new_question(world.scenes[parent.picture], parent.text, rng)
            if text and is_novel(text, texts[parent.picture]):
                texts[parent.picture].append(text)
                born.append(Question(_identity(parent.picture, text), parent.picture, text, parent.kind))
                break
    return born, attempts


def _identity(picture: int, text: str) -> int:
    return int.from_bytes(sha256(f"{picture}|{text}".encode()).digest()[:8], "big") >> 1

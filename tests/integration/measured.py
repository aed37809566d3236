"""A benchmark with evaluations of it, filled by SQL: nobody is asked anything.

In: a connection. Out: rows as the loop writes them. Question n is right where n modulo the evaluation's number is 0.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.benchmarks.scores import scores
from services.coordinator.evaluation_settings import EvaluationSettings
from services.coordinator.evaluations import begin, marks_of, of_checkpoint, settled
from services.coordinator.repositories import benchmarks, evaluations, runs
from services.coordinator.repositories.rows import insert
from shared.types import JsonObject

NUM = 30
CHOICES = ["a lamp", "a cup", "a chair"]
UNREADABLE, FAILED = 7, 11  # numbers of questions


async def make_benchmark(c: AsyncConnection, name: str = "exam") -> None:
    """Thirty questions of ScienceQA; the right answer is always the first, which is no help here."""
    about = {"kind": "scienceqa", "split": "test", "path": "p", "notes": ["a note"], "num_images": 0}
    items = [
        {"dataset": name, "id": n, "name": f"q{n}", "image": f"none:{n:032}", "content": _content(n)}
        for n in range(1, NUM + 1)
    ]
    assert await benchmarks.add(c, {"name": name, "content_sha256": "ab" * 32, **about}, items)


def _content(n: int) -> JsonObject:
    groups = ["NAT" if n % 2 else "SOC", "NO", "G1-6" if n % 3 else "G7-12"]
    return {
        "question": f"What is in place {n}?",
        "choices": CHOICES,
        "answer": 0,
        "hint": "",
        "groups": groups,
    }


async def make_evaluation(
    c: AsyncConnection, number: int, *, done: bool = True, benchmark: str = "exam", **more: Any
) -> str:
    """Its id. Not done: only the first ten questions are answered."""
    evaluation_id = f"run-{number:012}"
    settings = settled(EvaluationSettings(), "scienceqa").model_dump()
    evaluation = {
        "model": of_checkpoint(f"student-{number}"),
        "settings": settings,
        "judge": None,
        "of_run": None,
        "of_iteration": None,
        "automatic": False,
        **more,
    }
    await begin(c, evaluation_id, f"evaluation {number}", benchmark, evaluation, "asked for by ann")
    await insert(c, "iterations", [_iteration(evaluation_id, "complete" if done else "measuring")])
    await _answer(c, evaluation_id, number, NUM if done else 10)
    if done:
        table = scores("scienceqa", await marks_of(c, evaluation_id), 0)
        await evaluations.set_scores(c, evaluation_id, {name: vars(cell) for name, cell in table.items()})
    await runs.set_status(c, evaluation_id, "finished" if done else "paused")
    return evaluation_id


def _iteration(evaluation_id: str, phase: str) -> JsonObject:
    now = "2026-01-01T00:00:00Z"
    return {
        "run_id": evaluation_id,
        "number": 0,
        "phase": phase,
        "seconds": {},
        "phase_started_at": now,
        "created_at": now,
    }


async def _answer(c: AsyncConnection, evaluation_id: str, number: int, num: int) -> None:
    answered = [n for n in range(1, num + 1) if n != FAILED]
    of_all = {"role": "tested", "model_revision": "r", "prompt_version": "1", "finish_reason": "stop"}
    tokens = {"prompt_tokens": 9, "completion_tokens": 3, "created_at": "2026-01-01T00:00:00Z"}
    answers = [
        {"request_hash": f"{evaluation_id}-{n}", "text": f"I say {_chosen(n, number)}.", **of_all, **tokens}
        for n in answered
    ]
    results = [
        {
            "run_id": evaluation_id,
            "item_id": n,
            "request_hash": f"{evaluation_id}-{n}",
            "prediction": _chosen(n, number),
            "correct": _chosen(n, number) == 0,
        }
        for n in answered
    ]
    failure = {"run_id": evaluation_id, "iteration": 0, "phase": "measuring", "image": f"none:{FAILED:032}"}
    failed = (
        [{**failure, "instruction_id": FAILED, "reason": "no reply", "attempts": 3}] if num >= FAILED else []
    )
    for table, rows in (("answers", answers), ("evaluation_results", results), ("failures", failed)):
        await insert(c, table, rows)


def _chosen(n: int, number: int) -> int | None:
    """The index of a choice; 0 is right."""
    return None if n == UNREADABLE else 0 if n % number == 0 else 1 + n % 2

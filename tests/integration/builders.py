"""Small rows for tests: a data set, a run in a phase, its instructions and verdicts."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories import datasets, runs
from services.coordinator.repositories.rows import execute, insert
from services.coordinator.run_config import RunConfig

RUN = "run-1"


async def make_run(
    c: AsyncConnection, run_id: str = RUN, phase: str = "teaching", number: int = 1, **config: Any
) -> None:
    """A running run with one iteration."""
    summary = {"path": "p", "content_sha256": "", "refused": [], "purpose": "instruct"}
    counts = dict.fromkeys(("num_records", "num_instructions", "num_images", "num_refused"), 0)
    await datasets.add(c, {"name": "set", **summary, **counts})
    await runs.create(c, run_id, "run", "set", RunConfig(**config).model_dump(), {})
    await execute(c, "UPDATE runs SET status = 'running', target = 9 WHERE id = :id", id=run_id)
    await insert(
        c, "iterations", [{"run_id": run_id, "number": number, "phase": phase, "seconds": {}, **NOW}]
    )


NOW = {"phase_started_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z"}


def instruction(number: int, image: str, born_in: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "run_id": RUN,
        "id": number,
        "image": image,
        "text": f"question {number}?",
        "task_type": "colour",
        "origin": "seed",
        "parent": None,
        "born_in": born_in,
        "dialogue": f"d{number}",
        "turn": 0,
        **more,
    }


async def make_verdicts(
    c: AsyncConnection, difficulty_by_id: Mapping[int, float | None], iteration: int = 1
) -> None:
    """None stands for unjudged."""
    rows = [
        {
            "run_id": RUN,
            "iteration": iteration,
            "instruction_id": number,
            "unjudged": value is None,
            "difficulty": value,
            "runs": [],
        }
        for number, value in difficulty_by_id.items()
    ]
    await insert(c, "verdicts", rows)

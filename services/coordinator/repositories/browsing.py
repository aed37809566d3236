"""Queries for people who look through a run's instructions: filtered, by pages, in the same time at any depth."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch, scalar
from shared.types import JsonObject

Show = Literal["all", "hardest", "difficult", "easy", "unjudged", "better"]
SEARCHED_CHARS = 4000  # of an instruction; what stands further back is not found
SHOWN_CHARS = 600  # of an answer in a list
FEW = 2000  # instructions with the words: so many are looked up, more are met soon enough on the way
# as in the index `instructions_by_words`
HAS_WORDS = f"to_tsvector('simple', left(i.text, {SEARCHED_CHARS})) @@ plainto_tsquery('simple', :words)"
CHOICES: dict[Show, str] = {
    "all": "",
    "hardest": "AND NOT v.unjudged",
    "difficult": "AND NOT v.unjudged AND v.difficulty >= :tau",
    "easy": "AND NOT v.unjudged AND v.difficulty < :tau",
    "unjudged": "AND v.unjudged",
    "better": "AND v.student_score > v.teacher_score",
}
COLUMNS = """
    i.id, i.image, i.text, i.task_type, i.origin, i.parent, i.born_in, v.unjudged, v.reason, v.teacher_score,
    v.student_score, v.difficulty
"""
OF_VERDICTS = """
    FROM verdicts v JOIN instructions i ON i.run_id = v.run_id AND i.id = v.instruction_id
    WHERE v.run_id = :run_id AND v.iteration = :iteration
"""
OF_POOL = """
    FROM instructions i
    LEFT JOIN verdicts v ON v.run_id = i.run_id AND v.iteration = :iteration AND v.instruction_id = i.id
    WHERE i.run_id = :run_id AND i.born_in <= :iteration
"""


@dataclass(frozen=True)
class Filter:
    """Which instructions of an iteration's cache pool."""

    iteration: int
    show: Show = "all"
    task_type: str | None = None
    words: str | None = None

    @property
    def is_by_difficulty(self) -> bool:
        """In which order: the hardest first (of the easy ones too), or by id where there may be no verdict."""
        return self.show not in {"all", "unjudged"}


@dataclass(frozen=True)
class Place:
    """Behind which row a page begins; `difficulty` where that is the order."""

    id: int
    difficulty: float | None = None


async def page(
    c: AsyncConnection, run_id: str, wanted: Filter, tau: float, after: Place | None, limit: int
) -> list[JsonObject]:
    """Rows with their verdicts, the texts whole."""
    conditions, values = _conditions(wanted, tau, after)
    if wanted.words is not None:
        few = await _few_with_words(c, run_id, wanted.words)
        id_column = "i.id" if wanted.show == "all" else "v.instruction_id"
        conditions += f" AND {HAS_WORDS}" if few is None else f" AND {id_column} = ANY(:few)"
        values |= {"words": wanted.words} if few is None else {"few": few}
    order = "v.difficulty DESC, v.instruction_id DESC" if wanted.is_by_difficulty else "i.id"
    source = OF_POOL if wanted.show == "all" else OF_VERDICTS
    return await fetch(
        c,
        f"SELECT {COLUMNS} {source} {conditions} ORDER BY {order} LIMIT :limit",
        run_id=run_id,
        iteration=wanted.iteration,
        limit=limit,
        **values,
    )


def _conditions(wanted: Filter, tau: float, after: Place | None) -> tuple[str, dict[str, Any]]:
    conditions, values = [CHOICES[wanted.show]], dict[str, Any]()
    if ":tau" in CHOICES[wanted.show]:
        values["tau"] = tau
    if wanted.task_type is not None:
        conditions.append("AND i.task_type = :task_type")
        values["task_type"] = wanted.task_type
    if after is not None and wanted.is_by_difficulty:
        conditions.append(
            "AND (v.difficulty, v.instruction_id) < (:after_difficulty, CAST(:after AS bigint))"
        )
        values |= {"after_difficulty": after.difficulty, "after": after.id}
    elif after is not None:
        conditions.append("AND i.id > :after")
        values["after"] = after.id
    return " ".join(conditions), values


async def _few_with_words(c: AsyncConnection, run_id: str, words: str) -> list[int] | None:
    """The ids of those with all the words, None where they are many: the planner cannot tell rare from common."""
    rows = await fetch(
        c,
        f"SELECT i.id FROM instructions i WHERE i.run_id = :run_id AND {HAS_WORDS} LIMIT {FEW + 1}",
        run_id=run_id,
        words=words,
    )
    return [row["id"] for row in rows] if len(rows) <= FEW else None


async def answers(
    c: AsyncConnection, run_id: str, ids: list[int], iteration: int, num_chars: int = SHOWN_CHARS + 1
) -> dict[int, JsonObject]:
    """The beginnings of both answers to each: the teacher's, and the student's of this iteration."""
    rows = await fetch(
        c,
        """
        SELECT b.instruction_id AS id, b.role, left(a.text, :num_chars) AS text
        FROM bindings b JOIN answers a USING (request_hash)
        WHERE b.run_id = :run_id AND b.instruction_id = ANY(:ids) AND (b.role = 'teacher' OR b.checkpoint = (
            SELECT checkpoint FROM iterations WHERE run_id = :run_id AND number = :iteration))
        """,
        run_id=run_id,
        ids=ids,
        iteration=iteration,
        num_chars=num_chars,
    )
    found: dict[int, JsonObject] = {one: {} for one in ids}
    for row in rows:
        found[row["id"]][row["role"]] = row["text"]
    return found


async def task_types(c: AsyncConnection, run_id: str) -> list[str]:
    """The types that the run's instructions have: a step in the index for each, however many there are of it."""
    rows = await fetch(
        c,
        """
        WITH RECURSIVE found AS (
            SELECT min(task_type) AS task_type FROM instructions WHERE run_id = :run_id
            UNION ALL
            SELECT (SELECT min(i.task_type) FROM instructions i
                WHERE i.run_id = :run_id AND i.task_type > found.task_type)
            FROM found WHERE found.task_type IS NOT NULL
        ) SELECT task_type FROM found WHERE task_type IS NOT NULL LIMIT 100
        """,
        run_id=run_id,
    )
    return [row["task_type"] for row in rows]


async def newest_judged(c: AsyncConnection, run_id: str) -> int | None:
    """The last iteration that has verdicts."""
    newest = await scalar(c, "SELECT max(iteration) FROM verdicts WHERE run_id = :run_id", run_id=run_id)
    return None if newest is None else int(newest)

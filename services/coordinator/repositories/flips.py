"""Queries on instructions that two assessments judged otherwise: difficult in one, easy in the other.

An instruction's id is a hash of what it is, so it is the same in every run: two iterations of a run and two runs are
compared alike. Pages come in the order of ids: being hashes, their first page is a fair sample, and any page costs what
it takes to meet as many flips. By difficulty it would not: most flips lie near tau, far from either end.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch, join_by_hashing
from shared.types import JsonObject

Kind = Literal["learnt", "forgotten"]  # difficult before and easy after; the other way round
BOTH = """
    verdicts a JOIN verdicts b ON b.run_id = :after_run AND b.iteration = :after_iteration
        AND b.instruction_id = a.instruction_id
"""
FLIPPED: dict[Kind | None, str] = {
    "learnt": "a.difficulty >= :before_tau AND b.difficulty < :after_tau",
    "forgotten": "a.difficulty < :before_tau AND b.difficulty >= :after_tau",
    None: "(a.difficulty >= :before_tau) <> (b.difficulty >= :after_tau)",
}
JUDGED = ("teacher_score", "student_score", "difficulty")


@dataclass(frozen=True)
class Assessment:
    """One iteration's, and from where on its run calls an instruction difficult."""

    run_id: str
    iteration: int
    tau: float


@dataclass(frozen=True)
class Pair:
    before: Assessment
    after: Assessment

    @property
    def values(self) -> dict[str, Any]:
        return {
            f"{side}_{name}": value
            for side, one in (("before", self.before), ("after", self.after))
            for name, value in (("run", one.run_id), ("iteration", one.iteration), ("tau", one.tau))
        }


async def assessed(c: AsyncConnection, run_id: str) -> list[int]:
    """The iterations that have verdicts; the last one's may still be coming."""
    rows = await fetch(
        c,
        """
        SELECT number FROM iterations t WHERE run_id = :run_id AND EXISTS (
            SELECT FROM verdicts v WHERE v.run_id = t.run_id AND v.iteration = t.number) ORDER BY number
        """,
        run_id=run_id,
    )
    return [row["number"] for row in rows]


async def page(c: AsyncConnection, pair: Pair, kind: Kind | None, after: int, limit: int) -> list[JsonObject]:
    """Flips of one kind or of both, behind the id `after`, with both verdicts: `before_difficulty` and so on.

    Each table is told where to begin, or a page far behind would begin at the first row.
    """
    both = ", ".join(f"a.{name} AS before_{name}, b.{name} AS after_{name}" for name in JUDGED)
    return await fetch(
        c,
        f"""
        SELECT i.id, i.image, i.text, i.task_type, i.origin, i.born_in, {both},
            CASE WHEN a.difficulty >= :before_tau THEN 'learnt' ELSE 'forgotten' END AS kind
        FROM {BOTH} JOIN instructions i ON i.run_id = a.run_id AND i.id = a.instruction_id
        WHERE a.run_id = :before_run AND a.iteration = :before_iteration AND {FLIPPED[kind]}
            AND a.instruction_id > :after AND b.instruction_id > :after AND i.id > :after
        ORDER BY a.instruction_id LIMIT :limit
        """,
        after=after,
        limit=limit,
        **pair.values,
    )


async def counts(c: AsyncConnection, pair: Pair) -> JsonObject:
    """Of the instructions that both judged: learnt, forgotten, and those that stayed difficult or easy."""
    await join_by_hashing(c)
    rows = await fetch(
        c,
        f"""
        SELECT a.difficulty >= :before_tau AS was_difficult, b.difficulty >= :after_tau AS is_difficult,
            count(*) AS num
        FROM {BOTH}
        WHERE a.run_id = :before_run AND a.iteration = :before_iteration
            AND a.difficulty IS NOT NULL AND b.difficulty IS NOT NULL
        GROUP BY 1, 2
        """,
        **pair.values,
    )
    found = {(row["was_difficult"], row["is_difficult"]): row["num"] for row in rows}
    return {
        "learnt": found.get((True, False), 0),
        "forgotten": found.get((False, True), 0),
        "still_difficult": found.get((True, True), 0),
        "still_easy": found.get((False, False), 0),
    }

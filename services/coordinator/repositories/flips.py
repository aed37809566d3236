"""Queries on instructions that two assessments judged otherwise: difficult in one, easy in the other.

An instruction's id is a hash of what it is, so it is the same in every run: two iterations of a run and two runs are
compared alike. Pages come in the order of ids, which are hashes: the first page is a fair sample. By difficulty a
page would cost a look at most of the difficult ones, since most flips lie near tau.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, join_by_hashing
from shared.types import JsonObject

Kind = Literal["learnt", "forgotten"]  # difficult before and easy after; the other way round
NEAR = 5000  # instructions, among which a page of flips mostly is
BOTH = """
    a JOIN verdicts b ON b.run_id = :after_run AND b.iteration = :after_iteration
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

    As a rule they are among the next few thousand; where flips are rare all that are left are joined at once.
    """
    near = f"""
        (SELECT run_id, iteration, instruction_id, difficulty FROM verdicts
            WHERE run_id = :before_run AND iteration = :before_iteration
            AND instruction_id > :after ORDER BY instruction_id LIMIT {NEAR})
    """
    ids = await _flipped(c, near, pair, kind, after, limit)
    if len(ids) < limit:
        await join_by_hashing(c)  # and then sorted: read in the order of ids it takes four times as long
        ids = await _flipped(c, "verdicts", pair, kind, after, limit)
        await execute(c, "SET LOCAL enable_nestloop = on")  # for the few rows that are read next
    return await _with_texts(c, pair, ids)


async def _flipped(
    c: AsyncConnection, source: str, pair: Pair, kind: Kind | None, after: int, limit: int
) -> list[int]:
    """Ids, by what the index has: a page's texts are read for its own rows alone."""
    rows = await fetch(
        c,
        f"""
        WITH flipped AS MATERIALIZED (
            SELECT a.instruction_id AS id FROM {source} {BOTH}
            WHERE a.run_id = :before_run AND a.iteration = :before_iteration AND {FLIPPED[kind]}
                AND a.instruction_id > :after AND b.instruction_id > :after
        ) SELECT id FROM flipped ORDER BY id LIMIT :limit
        """,
        after=after,
        limit=limit,
        **pair.values,
    )
    return [row["id"] for row in rows]


async def _with_texts(c: AsyncConnection, pair: Pair, ids: list[int]) -> list[JsonObject]:
    both = ", ".join(f"a.{name} AS before_{name}, b.{name} AS after_{name}" for name in JUDGED)
    values = {name: value for name, value in pair.values.items() if name != "after_tau"}
    return await fetch(
        c,
        f"""
        SELECT i.id, i.image, i.text, i.task_type, i.origin, i.born_in, {both},
            CASE WHEN a.difficulty >= :before_tau THEN 'learnt' ELSE 'forgotten' END AS kind
        FROM verdicts {BOTH} JOIN instructions i ON i.run_id = a.run_id AND i.id = a.instruction_id
        WHERE a.run_id = :before_run AND a.iteration = :before_iteration AND a.instruction_id = ANY(:ids)
            AND b.instruction_id = ANY(:ids) AND i.id = ANY(:ids)
        ORDER BY i.id
        """,
        ids=ids,
        **values,
    )


async def counts(c: AsyncConnection, pair: Pair) -> JsonObject:
    """Of the instructions that both judged: learnt, forgotten, and those that stayed difficult or easy."""
    await join_by_hashing(c)
    rows = await fetch(
        c,
        f"""
        SELECT a.difficulty >= :before_tau AS was_difficult, b.difficulty >= :after_tau AS is_difficult,
            count(*) AS num
        FROM verdicts {BOTH}
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

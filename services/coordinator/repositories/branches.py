"""A run that stands where another stood right after a training: its rows, copied inside the database.

Call it in one REPEATABLE READ transaction: the parent may be at work meanwhile. Answers are shared by their request
hash and are not copied; calls, budgets' sums and tasks belong to the run that made them.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute
from services.coordinator.tables import Table
from shared.types import JsonObject

AFTER_TRAINING = ("assessing", "selecting", "augmenting")
FORGOTTEN = (  # what an iteration knows only after its training
    "judge",
    "difficult",
    "easy",
    "unjudged",
    "mean_difficulty",
    "accepted",
    "dropped",
    "rejected",
)
CHECKPOINTS = """
    SELECT checkpoint FROM iterations
    WHERE run_id = :parent AND checkpoint IS NOT NULL AND number <= :last
"""


@dataclass(frozen=True)
class Branch:
    """From where, to which run; `same_questions`: the student is asked the same as in the parent's iteration;
    `same_judge`: and is judged by the parent's judge, too."""

    parent: str
    child: str
    iteration: int
    same_questions: bool
    same_judge: bool


async def copy(c: AsyncConnection, branch: Branch) -> dict[str, int]:
    """The rows of everything but the run itself; how many there are of each."""
    n = branch.iteration
    assessed = n if branch.same_judge else n - 1  # the last iteration whose verdicts hold here too
    asked = n if branch.same_questions else n - 1
    of_last = "'teaching', 'training', 'evaluating'" + (", 'assessing'" if branch.same_judge else "")
    parts = (
        ("iterations", "number <= :last", n),
        ("training_points", "iteration <= :last", n),
        ("instructions", "born_in <= :last", n),
        ("bindings", f"role = 'teacher' AND {_born('bindings')}", n),
        ("bindings", f"role = 'student' AND checkpoint IN ({CHECKPOINTS})", asked),
        ("evaluation_answers", "iteration <= :last", n),
        ("verdicts", "iteration <= :last", assessed),
        ("selections", "iteration < :last", n),
        ("candidates", "iteration < :last", n),
        ("failures", f"iteration < :last OR iteration = :last AND phase IN ({of_last})", n),
    )
    copied: dict[str, int] = {}
    for table, where, last in parts:
        copied[table] = copied.get(table, 0) + await _copy(c, table, where, branch, last)
    await _stand_after_training(c, branch)
    return copied


async def _copy(c: AsyncConnection, table: str, where: str, branch: Branch, last: int) -> int:
    columns = ", ".join(
        column.name for column in Table.metadata.tables[table].columns if column.name != "run_id"
    )
    return await execute(
        c,
        f"""
        INSERT INTO {table} (run_id, {columns})
        SELECT :child, {columns} FROM {table} WHERE run_id = :parent AND ({where})
        """,
        parent=branch.parent,
        child=branch.child,
        last=last,
    )


def _born(table: str) -> str:
    return f"""
        EXISTS (SELECT FROM instructions i WHERE i.run_id = :parent AND i.id = {table}.instruction_id
            AND i.born_in <= :last)
    """


async def _stand_after_training(c: AsyncConnection, branch: Branch) -> None:
    """The last iteration rests in `trained` and knows nothing of what the parent did after that.

    Where the parent's verdicts hold its judge is fixed already: an assessment that is not whole goes on with it.
    """
    kept = {"judge"} if branch.same_judge else set()
    nothing = ", ".join(f"{name} = NULL" for name in FORGOTTEN if name not in kept)
    await execute(
        c,
        f"""
        UPDATE iterations SET phase = 'trained', phase_started_at = now(), retries = 0, {nothing},
            seconds = seconds - CAST(:later AS text[]), endings = endings - CAST(:later AS text[])
        WHERE run_id = :child AND number = :number
        """,
        child=branch.child,
        number=branch.iteration,
        later=list(AFTER_TRAINING),
    )


async def create(
    c: AsyncConnection, branch: Branch, name: str, config: JsonObject, engines: JsonObject
) -> None:
    """The new run: all trainings that it was asked for so far are done, so it waits to be asked for more."""
    await execute(
        c,
        """
        INSERT INTO runs (id, name, dataset, config, engines, status, target, progress, parent_run, branched_from)
        SELECT :child, :name, dataset, CAST(:config AS jsonb), CAST(:engines AS jsonb), 'finished',
            CAST(:number AS bigint), '{}', id, CAST(:number AS bigint)
        FROM runs WHERE id = :parent
        """,
        parent=branch.parent,
        child=branch.child,
        name=name,
        config=to_json(config),
        engines=to_json(engines),
        number=branch.iteration,
    )

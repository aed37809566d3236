"""Records the statements that a piece of code runs, and lets Postgres explain each. In: an engine. Out: plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@dataclass
class Recorded:
    """Statements with their parameters, in the order in which they ran."""

    statements: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def recording(engine: AsyncEngine) -> Iterator[Recorded]:
    recorded = Recorded()

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        recorded.statements.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield recorded
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def explain(c: AsyncConnection, statement: str, parameters: Any, options: str = "") -> dict[str, Any]:
    """The plan, as Postgres gives it in JSON."""
    result = await c.exec_driver_sql(f"EXPLAIN (FORMAT JSON{options}) {statement}", parameters)
    plan: dict[str, Any] = result.scalar_one()[0]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan, the outermost first."""
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)

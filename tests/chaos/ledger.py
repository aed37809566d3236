"""Counts calls in flight: those that a worker has sent and whose result is not in the database yet.

In: the engine's counts of distinct requests by role, the calls that wait for it in the role services, and the rows
that replies became. Out: a Strike for every disturbance. Rows are read before it and requests after it, so the number
is not too small; it may contain calls that were sent or committed in between.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from tests.doubles.lab import API_KEY

KEPT = """
    SELECT json_build_object(
        'teacher', (SELECT count(*) FROM answers WHERE role = 'teacher'),
        'student', (SELECT count(*) FROM answers WHERE role = 'student'),
        'judge', (
            SELECT coalesce(sum((run->>'attempts')::int), 0)
            FROM (SELECT DISTINCT instruction_id, runs::jsonb AS runs FROM verdicts) v, jsonb_array_elements(runs) run
        ),
        'augmentor', (SELECT count(*) FROM candidates)
    )
"""
SIDE_BY_SIDE = """
    SELECT coalesce(max(num), 1) FROM (
        SELECT count(*) AS num FROM candidates c JOIN instructions i ON (i.run_id, i.id) = (c.run_id, c.parent)
        GROUP BY i.image, c.iteration
    ) by_image
"""
IN_LINE = re.compile(r"^comd_engine_line\{.*\} (\S+)$", re.MULTILINE)
NOTHING = dict.fromkeys(("teacher", "student", "judge", "augmentor"), 0)


@dataclass
class Strike:
    """One disturbance: what was done, when and in which phase, and what it may cost."""

    kind: str
    at_s: float
    phase: str
    kept: dict[str, int] = field(repr=False)
    in_flight: int = 0
    back_s: float | None = None  # from its end to the next result in the database


class Ledger:
    """Reads the engine's and the database's counts."""

    def __init__(self, engine_url: str, service_urls: Sequence[str], database_url: str):
        self.database_url, self.service_urls = database_url, service_urls
        self._services = httpx.Client(
            headers={"authorization": f"Bearer {API_KEY}"}, timeout=10, trust_env=False
        )
        self._engine = httpx.Client(base_url=engine_url, timeout=10, trust_env=False)
        self._engine.delete("/scripted/calls").raise_for_status()
        self._database: psycopg.Connection[Any] | None = None
        self._kept = NOTHING

    def close(self) -> None:
        self._engine.close()
        self._services.close()
        self.forget_connection()

    def calls(self) -> dict[str, Any]:
        """What the engine has counted."""
        return dict(self._engine.get("/scripted/calls").json())

    def num_distinct(self) -> int:
        counts = self.calls()
        return int(counts["total"]) - int(counts["repeated"])

    def kept(self) -> dict[str, int]:
        """Calls by role whose result is in the database; what was seen last where it cannot be reached."""
        if (row := self.ask(KEPT)) is not None:
            self._kept = row[0]
        return self._kept

    def in_flight(self, kept: dict[str, int]) -> int:
        counts = self.calls()
        asked, repeated = counts["by_role"], counts["repeated_by_role"]
        sent = {role: asked.get(role, 0) - repeated.get(role, 0) for role in NOTHING}
        return sum(max(0, sent[role] - kept[role]) for role in NOTHING) + self.num_in_line()

    def num_in_line(self) -> int:
        """Calls that a role service holds back from the engine."""
        said = [self._services.get(f"{url}/metrics").text for url in self.service_urls]
        return sum(round(float(found)) for text in said for found in IN_LINE.findall(text))

    def cost_of_a_fault(self) -> dict[str, int]:
        """The most calls of the engine that one request to a role service makes, and makes again when one fails."""
        row = self.ask(SIDE_BY_SIDE)
        return {"teacher": 1, "student": 1, "judge": 2, "augmentor": row[0] if row else 1}

    def ask(self, query: str) -> tuple[Any, ...] | None:
        """One row; None where there is none, or no database just now."""
        try:
            if self._database is None:
                self._database = psycopg.connect(self.database_url, autocommit=True, connect_timeout=2)
            return self._database.execute(query).fetchone()  # type: ignore[call-overload, no-any-return]
        except psycopg.OperationalError:
            self.forget_connection()
            return None

    def forget_connection(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

"""`client.evaluations`: measure a model on a benchmark, and look at what came of it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

from comd.client.aio.link import AsyncLink
from comd.client.aio.pages import rows
from comd.client.exported import drafted
from comd.client.service import at, given
from services.coordinator.api.evaluation_shapes import (
    Difference,
    Evaluation,
    EvaluationItem,
    EvaluationItems,
    EvaluationList,
    EvaluationSummary,
    Outcome,
    ScoreTable,
)

Text = Literal["text", "csv", "latex"]


class AsyncEvaluations:
    """An evaluation is a run of another kind: `client.runs` follows, pauses, resumes, retries and cancels it."""

    def __init__(self, link: AsyncLink):
        self._link = link

    async def list(self, run: str | None = None, benchmark: str | None = None) -> list[EvaluationSummary]:
        """All evaluations, the newest first; of one run's students, or on one benchmark, where that is given.

        A branch's students include those of its parent up to where it was branched off.
        """
        found = await self._link.get(EvaluationList, at("evaluations"), **given(run=run, benchmark=benchmark))
        return found.data

    async def get(self, evaluation_id: str) -> Evaluation:
        """Where it stands, what was counted, and the scores so far. NotFound where there is none of that id."""
        return await self._link.get(Evaluation, at("evaluations", evaluation_id))

    async def create(
        self,
        benchmark: str,
        model: Mapping[str, Any],
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Begin to measure a model: `{"engine": {"base_url": ..., "model": ...}}`, `{"role": "teacher"}`,
        `{"checkpoint": ...}` or `{"run": id, "iteration": n}`.

        Unprocessable where the engine, the benchmark or a setting cannot be used: nothing is begun then.
        """
        body = given(benchmark=benchmark, model=dict(model), name=name, settings=settings and dict(settings))
        return await self._link.post(Evaluation, at("evaluations"), body)

    async def table(self, evaluation_id: str, beside: Sequence[str] = ()) -> ScoreTable:
        """Its scores with their intervals, those of other evaluations of the same kind, and the paper's rows."""
        query = given(beside=[*beside] or None)
        return await self._link.get(ScoreTable, at("evaluations", evaluation_id, "table"), **query)

    async def table_text(self, evaluation_id: str, beside: Sequence[str] = (), format: Text = "text") -> str:
        """The same table for people, spreadsheets or papers."""
        query = {"format": format, **given(beside=[*beside] or None)}
        reply = await self._link.send("GET", at("evaluations", evaluation_id, "table"), params=query)
        return reply.text

    async def difference(self, evaluation_id: str, other: str) -> Difference:
        """This one minus the other, over the questions that both answered, with paired intervals."""
        return await self._link.get(Difference, at("evaluations", evaluation_id, "difference"), other=other)

    def items(
        self, evaluation_id: str, outcome: Outcome | None = None, group: str | None = None
    ) -> AsyncIterator[EvaluationItem]:
        """Every question with the answer to it and what came of it, in the official order."""
        only = given(outcome=outcome, group=group)
        return rows(
            self._link, EvaluationItems, at("evaluations", evaluation_id, "items"), cursor="after", **only
        )

    async def export(
        self,
        evaluation_id: str,
        to: str | Path | BinaryIO,
        on_bytes: Callable[[int], object] = lambda num_bytes: None,
    ) -> int:
        """Write all items as JSON lines and give their number. A path has all of them or is not there."""
        num = 0
        path = at("evaluations", evaluation_id, "export")
        with drafted(to) as file:
            async with self._link.stream("export", path) as reply:
                async for part in reply.aiter_bytes():
                    file.write(part)
                    num += part.count(b"\n")
                    on_bytes(len(part))
        return num

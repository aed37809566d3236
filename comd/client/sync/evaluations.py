# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""`client.evaluations`: measure a model on a benchmark, and look at what came of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

from comd.client.exported import drafted
from comd.client.service import at, given
from comd.client.sync.link import Link
from comd.client.sync.pages import rows
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


class Evaluations:
    """An evaluation is a run of another kind: `client.runs` follows, pauses, resumes, retries and cancels it."""

    def __init__(self, link: Link):
        self._link = link

    def list(self, run: str | None = None, benchmark: str | None = None) -> list[EvaluationSummary]:
        """All evaluations, the newest first; of one run's students, or on one benchmark, where that is given.

        A branch's students include those of its parent up to where it was branched off.
        """
        found = self._link.get(EvaluationList, at("evaluations"), **given(run=run, benchmark=benchmark))
        return found.data

    def get(self, evaluation_id: str) -> Evaluation:
        """Where it stands, what was counted, and the scores so far. NotFound where there is none of that id."""
        return self._link.get(Evaluation, at("evaluations", evaluation_id))

    def create(
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
        return self._link.post(Evaluation, at("evaluations"), body)

    def table(self, evaluation_id: str, beside: Sequence[str] = ()) -> ScoreTable:
        """Its scores with their intervals, those of other evaluations of the same kind, and the paper's rows."""
        query = given(beside=[*beside] or None)
        return self._link.get(ScoreTable, at("evaluations", evaluation_id, "table"), **query)

    def table_text(self, evaluation_id: str, beside: Sequence[str] = (), format: Text = "text") -> str:
        """The same table for people, spreadsheets or papers."""
        query = {"format": format, **given(beside=[*beside] or None)}
        reply = self._link.send("GET", at("evaluations", evaluation_id, "table"), params=query)
        return reply.text

    def difference(self, evaluation_id: str, other: str) -> Difference:
        """This one minus the other, over the questions that both answered, with paired intervals."""
        return self._link.get(Difference, at("evaluations", evaluation_id, "difference"), other=other)

    def items(
        self, evaluation_id: str, outcome: Outcome | None = None, group: str | None = None
    ) -> Iterator[EvaluationItem]:
        """Every question with the answer to it and what came of it, in the official order."""
        only = given(outcome=outcome, group=group)
        return rows(
            self._link, EvaluationItems, at("evaluations", evaluation_id, "items"), cursor="after", **only
        )

    def export(
        self,
        evaluation_id: str,
        to: str | Path | BinaryIO,
        on_bytes: Callable[[int], object] = lambda num_bytes: None,
    ) -> int:
        """Write all items as JSON lines and give their number. A path has all of them or is not there."""
        num = 0
        path = at("evaluations", evaluation_id, "export")
        with drafted(to) as file, self._link.stream("export", path) as reply:
            for part in reply.iter_bytes():
                file.write(part)
                num += part.count(b"\n")
                on_bytes(len(part))
        return num

"""Preparation: a program of several processes. In: a job's plan. Out: a shard of prepared examples from each.

Every record's labels are checked against its answers here, before the first step.
"""

import os
from pathlib import Path
from typing import Any

from comd.engine.dialogue import Rendered, Renderer
from comd.engine.model import load_renderer
from comd.engine.pictures import Picture, Pictures
from services.trainer import endings, records
from services.trainer.chat import Record, parse_line
from services.trainer.plan import Plan
from services.trainer.records import Part
from services.trainer.training.prepared import Example, Shard
from shared.errors import ComdError, Unprocessable
from shared.images import ImageStore

BLOCK_LINES = 64  # lines that go to one process in a row


def main(arguments: dict[str, Any]) -> None:
    """Prepare this process's share of the training file."""
    plan = Plan(**arguments)
    with endings.told(plan.folder):
        renderer = load_renderer(plan.model)
        pictures = Pictures(renderer.processor, ImageStore(plan.image_store))
        limit = plan.hyperparameters.max_length
        preparation = Preparation(renderer, pictures, limit, plan.seed, plan.stage == "pretrain")
        number, total = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        preparation.file(plan.training_file, number, total).write(plan.prepared, number)


class Preparation:
    """One job's rendering: the template of the student, the length limit and the coin's seed."""

    def __init__(
        self, renderer: Renderer, pictures: Pictures, max_length: int, seed: int, needs_picture: bool = False
    ):
        self.renderer, self.pictures, self.max_length, self.seed = renderer, pictures, max_length, seed
        self.needs_picture = needs_picture
        self._latest: tuple[Part, Rendered] | None = None

    def file(self, path: Path, number: int = 0, total: int = 1) -> Shard:
        """The examples of share `number` of `total`. Unprocessable names the line that cannot be trained on."""
        shard = Shard()
        with path.open("rb") as lines:
            for at, raw in enumerate(lines, 1):
                if at // BLOCK_LINES % total == number and raw.strip():
                    self._record(parse_line(raw, at), shard)
        return shard

    def _record(self, record: Record, shard: Shard) -> None:
        if self.needs_picture and record.image is None:
            raise Unprocessable(f"line {record.line}: stage pretrain needs a picture in every record")
        parts, left_out = records.split(record, self._length, self.max_length)
        shard.counts.records += 1
        shard.counts.left_out += left_out
        for part in parts:
            shard.counts.turns += len(part.turns)
            shard.add(record.line, part.number, self.example(part))

    def _length(self, part: Part) -> int:
        return len(self._rendered(part).input_ids)

    def _rendered(self, part: Part) -> Rendered:
        if self._latest is None or self._latest[0] is not part:  # most parts are asked for twice in a row
            self._latest = (part, self._render(part))
        return self._latest[1]

    def _render(self, part: Part) -> Rendered:
        try:
            return self.renderer.dialogue(records.messages(part, self.seed), self._pictures(part.record))
        except ComdError as error:
            raise Unprocessable(f"line {part.record.line}: {error.message}") from error

    def _pictures(self, record: Record) -> list[Picture]:
        return [] if record.image is None else [self.pictures.get(record.image)]

    def example(self, part: Part) -> Example:
        """A part as ids and labels, its labels checked."""
        rendered = self._rendered(part)
        self._check(part, rendered)
        spans = zip(rendered.answers, part.turns, strict=True)
        made = records.labels(rendered.input_ids, [span for span, turn in spans if turn.learned])
        return Example(rendered.input_ids, made, part.record.image)

    def _check(self, part: Part, rendered: Rendered) -> None:
        found = [self.renderer.answer_text(rendered.input_ids[a:b]) for a, b in rendered.answers]
        wanted = [self.renderer.expected_answer_text(turn.answer) for turn in part.turns]
        if found != wanted:
            at = next(
                (i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), -1
            )
            got = f"{len(found)} answers" if at < 0 else repr(found[at][:200])
            want = f"{len(wanted)}" if at < 0 else repr(wanted[at][:200])
            raise Unprocessable(
                f"line {part.record.line}: the labels do not line up with the answers: expected {want}, the "
                f"chat template marks {got}; its generation block must hold the answer and the stop token",
                code="labels_mismatch",
            )

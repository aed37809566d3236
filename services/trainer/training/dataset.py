"""Training examples. In: a training file, the student's processor, pictures. Out: examples for the collator.

Each record's labels are checked against its answers before the first step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from comd.engine.dialogue import Rendered, Renderer
from comd.engine.pictures import Picture, Pictures
from services.trainer import records
from services.trainer.records import Part, Record
from shared.errors import ComdError, Unprocessable


@dataclass(frozen=True)
class Example:
    input_ids: list[int]
    labels: list[int]
    image: str | None


@dataclass(frozen=True)
class Prepared:
    """`turns` are trained on, `left_out` are single turns beyond the length limit."""

    examples: list[Example]
    records: int
    turns: int
    left_out: int

    @property
    def tokens(self) -> int:
        return sum(len(example.input_ids) for example in self.examples)


class Examples(torch.utils.data.Dataset[Example]):
    def __init__(self, examples: Sequence[Example]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, at: int) -> Example:
        return self.examples[at]


class Preparation:
    """One job's rendering: the template of the student, the limit and the coin's seed."""

    def __init__(self, renderer: Renderer, pictures: Pictures, max_length: int, seed: int):
        self.renderer, self.pictures, self.max_length, self.seed = renderer, pictures, max_length, seed
        self._latest: tuple[Part, Rendered] | None = None

    def file(self, path: Path, needs_picture: bool) -> Prepared:
        """All examples of a training file. Unprocessable names the line that cannot be trained on."""
        examples: list[Example] = []
        num_records = turns = left_out = 0
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.strip():
                    continue
                record = records.parse_line(raw, number)
                if needs_picture and record.image is None:
                    raise Unprocessable(f"line {number}: stage pretrain needs a picture in every record")
                parts, missed = records.split(record, self._length, self.max_length)
                examples += [self._example(part) for part in parts]
                num_records, left_out = num_records + 1, left_out + missed
                turns += sum(len(part.turns) for part in parts)
        if not examples:
            raise Unprocessable("the training file has no turn within the length limit")
        return Prepared(examples, num_records, turns, left_out)

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

    def _example(self, part: Part) -> Example:
        rendered = self._rendered(part)
        self._check(part, rendered)
        made = records.labels(rendered.input_ids, rendered.answers)
        return Example(rendered.input_ids, made, part.record.image)

    def _check(self, part: Part, rendered: Rendered) -> None:
        found = [self.renderer.answer_text(rendered.input_ids[a:b]) for a, b in rendered.answers]
        wanted = [self.renderer.expected_answer_text(answer) for _, answer in part.turns]
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

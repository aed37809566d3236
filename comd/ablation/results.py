"""What an ablation has found, on the disk. In: a finished arm of a seed. Out: results.json and items.jsonl.

`items.jsonl` has a line for each seed, arm and iteration: of every held-out question whether it was answered right, by
kind, in the order of the data set. Every number of table and figure follows from it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from comd.ablation.plan import Ablation
from shared.errors import ConfigError

RESULTS, ITEMS = "results.json", "items.jsonl"


@dataclass(frozen=True)
class Measured:
    """One iteration of an arm; 0 is before the first training."""

    number: int
    accuracy: float  # the mean over the kinds
    by_kind: dict[str, float]
    tuning_pool: int | None
    cache_pool: int | None
    steps: int | None
    difficult: int | None
    easy: int | None
    accepted: int | None


@dataclass(frozen=True)
class Outcome:
    """One arm of one seed. `ended` is finished or exhausted; `shares` says whether it went on from the base."""

    seed: int
    arm: str
    ended: str
    reason: str | None
    shares: bool
    seconds: float
    iterations: list[Measured]

    @property
    def last(self) -> int:
        """The iteration of its last student."""
        return self.iterations[-1].number


@dataclass(frozen=True)
class Items:
    seed: int
    arm: str
    iteration: int
    right: dict[str, str]  # by kind a sign for each question: 1 right, 0 wrong


@dataclass
class Results:
    ablation: Ablation
    outcomes: list[Outcome] = field(default_factory=list)
    items: list[Items] = field(default_factory=list)

    def has(self, seed: int, arm: str) -> bool:
        return any((one.seed, one.arm) == (seed, arm) for one in self.outcomes)

    def of(self, arm: str) -> list[Outcome]:
        """The arm's outcomes in the order of seeds."""
        return sorted((one for one in self.outcomes if one.arm == arm), key=lambda one: one.seed)

    def add(self, outcome: Outcome, items: Sequence[Items]) -> None:
        self.outcomes.append(outcome)
        self.items.extend(items)

    def save(self, folder: Path) -> None:
        """Items first: an outcome that is there has its items."""
        lines = b"".join(orjson.dumps(asdict(one)) + b"\n" for one in self.items)
        _write(folder / ITEMS, lines)
        told: dict[str, Any] = {
            "ablation": self.ablation.model_dump(),
            "outcomes": [asdict(one) for one in self.outcomes],
        }
        _write(folder / RESULTS, orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def load(folder: Path) -> Results:
    """ConfigError where there is nothing to read."""
    if not (folder / RESULTS).is_file():
        raise ConfigError(f"{folder}: expected {RESULTS} of an ablation that ran here, found none")
    told = orjson.loads((folder / RESULTS).read_bytes())
    outcomes = [
        Outcome(**{**one, "iterations": [Measured(**row) for row in one["iterations"]]})
        for one in told["outcomes"]
    ]
    known = {(one.seed, one.arm) for one in outcomes}
    lines = [Items(**orjson.loads(line)) for line in (folder / ITEMS).read_bytes().splitlines()]
    items = [one for one in lines if (one.seed, one.arm) in known]
    return Results(Ablation.model_validate(told["ablation"]), outcomes, items)


def begin(folder: Path, ablation: Ablation) -> Results:
    """What the folder has of this ablation; ConfigError where it is another's. Other seeds are more of the same."""
    if not (folder / RESULTS).is_file():
        return Results(ablation)
    found = load(folder)
    if found.ablation.model_copy(update={"seeds": ablation.seeds}) != ablation:
        raise ConfigError(f"{folder} holds the results of other settings; give another folder with --out")
    return Results(ablation, found.outcomes, found.items)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.rename(path)

"""Known questions with known answers, kept beside a checkpoint's weights. In: `canary.json`. Out: probes."""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from services.trainer import durable
from shared.types import JsonObject

CANARY = "canary.json"


@dataclass(frozen=True)
class Probe:
    """A question and the beginning of its greedy answer, as far as no two tokens came close to a tie.

    `tolerance` is how far an engine's mean log-probability of these tokens may be off, in nats.
    """

    messages: list[JsonObject]
    text: str
    num_tokens: int
    ended: bool  # the answer ends here, by a stop token
    mean_logprob: float | None  # None where there is no token but the stop token
    tolerance: float


def write(folder: Path, probes: list[Probe]) -> None:
    durable.write(
        folder / CANARY, orjson.dumps([asdict(probe) for probe in probes], option=orjson.OPT_INDENT_2)
    )


def read(folder: Path) -> list[Probe]:
    """The probes of a checkpoint; none where it was not published by us, as base students are not."""
    path = folder / CANARY
    return [Probe(**probe) for probe in orjson.loads(path.read_bytes())] if path.is_file() else []

"""What both engines of the student have in common: the interface, and how a swap of weights is recorded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol, TypedDict

from prometheus_client import Counter, Gauge

from services.trainer.serving.canary import Disagreement
from services.trainer.serving.wire import Answer
from shared import logs
from shared.errors import ComdError

log = logs.get(__name__)
swap_seconds = Gauge("comd_trainer_swap_seconds", "Seconds of each step of the latest weight swap", ["step"])
swaps_total = Counter("comd_trainer_swaps_total", "Weight swaps", ["how"])
canaries_failed_total = Counter(
    "comd_trainer_canaries_failed_total", "Swaps that the canary refused", ["how"]
)


class Swap(TypedDict, total=False):
    """One swap, for a job's metrics: seconds by step, those only that it had."""

    how: str  # "reload": new weights into the running engine; "restart": a new process
    sleep_s: float
    wake_s: float
    reload_s: float
    restart_s: float
    canary_s: float


class Engine(Protocol):
    """Serves at most one student; `loaded` is its name, None while none may be asked."""

    loaded: str | None
    swap: Swap

    async def load(self, name: str, folder: Path) -> None:
        """Serve the student in `folder`. EngineUnavailable or CanaryDisagrees where that does not work."""

    def release(self) -> None:
        """Answer for no student any more, until the next load."""

    async def sleep(self) -> None:
        """Before a job: release, and give back the devices' memory."""

    async def ask(self, body: bytes) -> Answer:
        """One chat completion that names the loaded student."""

    async def stream(self, body: bytes) -> tuple[Answer, AsyncIterator[bytes]]:
        """The answer's head and the pieces of its body."""

    async def close(self) -> None:
        """End what was started."""


class CanaryDisagrees(ComdError):
    """The engine, started anew, answers known questions otherwise than the process that published."""

    code = "canary_disagrees"

    def __init__(self, name: str, disagreement: Disagreement):
        super().__init__(
            f"{name} is not served rightly, even by an engine started anew: {disagreement}; "
            "compare the engine's version and dtype with the trainer's"
        )


def record(name: str, swap: Swap) -> None:
    """Log a finished swap and show it to Prometheus."""
    swaps_total.labels(swap["how"]).inc()
    swap_seconds.clear()
    for step, seconds in swap.items():
        if isinstance(seconds, float):
            swap_seconds.labels(step.removesuffix("_s")).set(seconds)
    log.info("student_loaded", checkpoint=name, **swap)


def refused(name: str, how: str, disagreement: Disagreement) -> None:
    """Log what the canary found, and count it."""
    canaries_failed_total.labels(how).inc()
    log.warning("canary_disagrees", checkpoint=name, how=how, said=str(disagreement))

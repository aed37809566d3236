"""What a task works with, as functions and lists: services that answer at once, and what was committed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed
from services.coordinator.repositories.tasks import Claim, TaskKey
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.work import Tools, Work
from shared.types import Assessment, Augmentation, RoleIdentity, Sampling, Usage

IMAGE = "ab" * 32
JUDGE = {"engine": None, "revision": "judge", "prompt_version": "1"}


class Services:
    """Answers by functions; remembers what it was asked."""

    def __init__(
        self, chat: Callable[..., Answer] | None = None, judge: Callable[..., Assessment] | None = None
    ):
        self._chat, self._judge = chat, judge
        self.asked: list[dict[str, Any]] = []
        self.written: Augmentation | None = None

    async def identity(self, role: str, engine: object) -> RoleIdentity:
        return RoleIdentity(
            role="teacher", prompt_version="1", model="m", revision="r", sampling=Sampling(max_tokens=10)
        )

    async def chat(
        self, role: str, model: str, image: str, text: str, sampling: Any, seed: int, *_: Any, **__: Any
    ) -> Answer:
        self.asked.append({"role": role, "model": model, "text": text, "seed": seed, **sampling})
        assert self._chat is not None
        return self._chat(text, sampling)

    async def assess(self, asked: Any, engine: object) -> Assessment:
        self.asked.append(asked.model_dump())
        assert self._judge is not None
        return self._judge()

    async def augment(self, asked: Any, engine: object) -> Augmentation:
        self.asked.append(asked.model_dump())
        if self.written is None:
            raise ItemFailed("refused")
        return self.written


class Kept:
    """What was committed, by table."""

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self.rows: dict[str, list[Any]] = {}
        self.known, self.finished = known or {}, False

    async def commit(self, claim: Claim, rows: Mapping[str, Sequence[Any]], *, finish: bool = False) -> None:
        self.finished |= finish
        for table, found in rows.items():
            self.rows.setdefault(table, []).extend(found)

    async def known_answers(self, hashes: Sequence[str]) -> dict[str, Any]:
        return {name: self.known[name] for name in hashes if name in self.known}


def work(phase: str, *items: dict[str, Any], **config: Any) -> Work:
    claim = Claim(TaskKey("run", 1, phase, IMAGE), 1)
    return Work(claim, RunConfig(**config), {}, "ckpt-1", JUDGE, {}, list(items), ["old?"])


def tools(services: Services, kept: Kept) -> Tools:
    return Tools(services, kept.commit, kept.known_answers)  # type: ignore[arg-type]


def said(text: str, finish_reason: str = "stop") -> Answer:
    return Answer(text, finish_reason, Usage(prompt_tokens=1, completion_tokens=1, calls=1))


QUESTIONS = ({"id": 1, "text": "a?"}, {"id": 2, "text": "b?"})

"""What a task gets to do its work with, and how it asks a service: patiently, and visibly while it waits."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.coordinator.clients import Answer, Services
from services.coordinator.committer import Rows
from services.coordinator.costs import cost_nanos
from services.coordinator.measured import Measured
from services.coordinator.merge import picture_of
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.repositories.tasks import Claim
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.pace import Pace
from services.coordinator.tasks.valve import Shut, Valve
from shared.errors import ComdError
from shared.identity import request_hash, request_seed
from shared.types import EngineSpec, JsonObject, Role, RoleIdentity, Sampling, Usage

UNREADABLE_TRIES = 3
STUDENT_PROMPT = "student-1"

Result = TypeVar("Result")


class IdentityChanged(ComdError):
    """Somebody else answers in the role than when the task began: it is to begin anew."""


@dataclass
class Work:
    """One claimed task: an image in one phase of an iteration."""

    claim: Claim
    config: RunConfig
    engines: dict[str, EngineSpec]
    checkpoint: str
    judge: JsonObject
    served_by: JsonObject  # the engines and the judge as they are stored
    items: list[JsonObject]
    texts: list[str] = field(default_factory=list)
    born: list[JsonObject] = field(default_factory=list)  # new instructions without the teacher's answer
    measured: Measured | None = None  # of an evaluation
    note: str | None = None  # what it waits for
    calls: list[JsonObject] = field(default_factory=list)  # that were made and are not written down yet
    num_calls: int = 0
    only_streams: bool = False  # its own phase's results are kept; the teacher's answers are still to come
    valve: Valve = field(default_factory=Valve)

    @property
    def run_id(self) -> str:
        return self.claim.key.run_id

    @property
    def iteration(self) -> int:
        return self.claim.key.iteration

    @property
    def image(self) -> str | None:
        return picture_of(self.claim.key.image)

    def failure(self, instruction_id: int, reason: str, attempts: int) -> JsonObject:
        """A row of `failures`; instruction 0 stands for the whole image."""
        failed = {"instruction_id": instruction_id, "reason": reason[:2000], "attempts": attempts}
        return {**self.claim.key.as_json(), **failed}

    def note_call(self, role: Role, revision: str, usage: Usage, items: int = 1) -> None:
        """What a reply used and costs; kept with the task's next rows, whatever the reply was worth."""
        self.num_calls += 1
        told = {"number": self.num_calls, "role": role, "model_revision": revision, "items": items}
        cost = cost_nanos(usage, self.config.prices().get(role))
        self.calls.append({**self.claim.as_json(), **told, **usage.model_dump(), "cost_nanos": cost})

    def take_calls(self) -> list[JsonObject]:
        """The calls that are to be written down now."""
        taken, self.calls = self.calls, []
        return taken


@dataclass(frozen=True)
class Tools:
    """The services, the store and the paces that all tasks of a worker share."""

    services: Services
    commit: Callable[..., Awaitable[None]]
    known_answers: Callable[[Sequence[str]], Awaitable[dict[str, JsonObject]]]
    paces: dict[tuple[str, EngineSpec | None], Pace] = field(default_factory=dict)
    freed: asyncio.Event = field(default_factory=asyncio.Event)  # set where the worker may take another task

    async def ask(self, work: Work, service: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """The service's reply. Waits for ever where nobody can answer; ItemFailed where it is of no use.

        A task whose valve is shut begins no call, and waits too.
        """
        if (key := (service, work.engines.get(service))) not in self.paces:
            self.paces[key] = Pace()
        pace = self.paces[key]
        unreadable, number = 0, pace.number()
        while True:
            await work.valve.opening()
            try:
                async with pace.turn(number):
                    with work.valve.call():
                        reply = await call()
                work.note = None
                return reply
            except Shut:
                continue
            except Waiting as error:
                work.note = None if error.cause == "busy" and not pace.lasting else error.message
                if error.cause == "other":
                    await asyncio.sleep(error.retry_after_s * random.uniform(0.7, 1.3))
            except Unreadable as error:
                unreadable += 1
                if unreadable == UNREADABLE_TRIES:
                    raise ItemFailed(f"no readable reply in {unreadable} tries: {error.message}") from error

    async def keep(self, work: Work, rows: Rows, *, finish: bool = False) -> None:
        """Commit rows of the task, and the calls that were made for it."""
        with work.valve.commit():
            await self.commit(work.claim, {**rows, "calls": work.take_calls()}, finish=finish)


@dataclass(frozen=True)
class Request:
    """One chat request to teacher or student, with the name of its answer."""

    identity: RoleIdentity
    image: str | None
    text: str
    seed: int
    sampling: JsonObject

    @property
    def hash(self) -> str:
        return request_hash(
            role=self.identity.role,
            image=self.image,
            text=self.text,
            prompt_version=self.identity.prompt_version,
            model_revision=self.identity.revision,
            sampling=self.sampling,
            seed=self.seed,
        )

    def row(self, answer: Answer) -> JsonObject:
        """The row of `answers`."""
        return {
            "request_hash": self.hash,
            "role": self.identity.role,
            "model_revision": self.identity.revision,
            "prompt_version": self.identity.prompt_version,
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
        }


def request(work: Work, identity: RoleIdentity, text: str, attempt: int = 0) -> Request:
    """The request of an attempt; the second of a teacher may answer at double length."""
    sampling: dict[str, Any] = identity.sampling.model_dump()
    sampling["max_tokens"] *= attempt + 1
    seed = request_seed(work.config.seed, identity.role, work.image, text, attempt)
    return Request(identity, work.image, text, seed, sampling)


def student_identity(checkpoint: str, temperature: float, max_tokens: int) -> RoleIdentity:
    """A checkpoint is the student's model and its revision."""
    return RoleIdentity(
        role="student",
        prompt_version=STUDENT_PROMPT,
        model=checkpoint,
        revision=checkpoint,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
    )


async def student_answer(
    work: Work, tools: Tools, asked: Request, known: dict[str, JsonObject]
) -> tuple[str, Rows]:
    """The student's answer, and the row to keep where it is new. One attempt: it is judged as it came."""
    if stored := known.get(asked.hash):
        return str(stored["text"]), {}
    answer = await tools.ask(
        work,
        "student",
        lambda: tools.services.chat(
            "student", asked.identity.model, asked.image, asked.text, asked.sampling, asked.seed
        ),
    )
    work.note_call("student", asked.identity.revision, answer.usage)
    return answer.text, {"answers": [asked.row(answer)]}

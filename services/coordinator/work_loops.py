"""The loops of a worker: fetch tasks, do them side by side, renew their leases, take over what the dead left.

In: messages. Out: rows in Postgres, committed as results arrive. It may be killed at any moment.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.committer import ClaimLost, Committer
from services.coordinator.ledger import Ledger
from services.coordinator.purse import Purse
from services.coordinator.queue import Message, Queue, patiently
from services.coordinator.repositories.tasks import Claim, Held, TaskKey
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.tasks.assess import assess
from services.coordinator.tasks.augment import augment
from services.coordinator.tasks.evaluate import evaluate
from services.coordinator.tasks.measure import measure
from services.coordinator.tasks.teach import teach
from services.coordinator.tasks.work import IdentityChanged, Tools, Work
from shared import logs, request_ids
from shared.masking import mask

TASKS: dict[str, Callable[[Work, Tools], Awaitable[None]]] = {
    "teaching": teach,
    "assessing": assess,
    "augmenting": augment,
    "evaluating": evaluate,
    "measuring": measure,
}
GATHER_S = 0.01  # free places wait so long for others, so that tasks are claimed in batches
BLOCK_MS = 500
NOTES_S = 1.0
HEED_S = 0.4  # how often a worker looks whether a run was paused
DRAIN_LOOK_S = 0.05
CANCELLED_WITHIN_S = 5.0

log = logs.get(__name__)


class Worker:
    """The life of one worker: its connections, and the tasks that it holds."""

    def __init__(self, settings: CoordinatorSettings, engine: AsyncEngine, queue: Queue, services: Services):
        self.settings, self.queue = settings, queue
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.ledger = Ledger(engine, self.name, settings.lease_s)
        self.committer = Committer(engine)
        self.purse = Purse(engine)
        self._freed = asyncio.Event()
        self.tools = Tools(services, self.committer.commit, self.ledger.known_answers, freed=self._freed)
        self._held: dict[Claim, tuple[Work, str, asyncio.Task[None]]] = {}
        self._done_with: list[str] = []  # messages to acknowledge
        self._leaves = False

    async def run(self) -> None:
        """Until cancelled; then what it holds goes back to the others."""
        try:
            async with asyncio.TaskGroup() as group:
                for loop in (self._fetch, self._reclaim, self._renew, self._heed, self.committer.run):
                    group.create_task(loop())
        finally:
            await self._let_go(list(self._held))

    async def drain(self, patience_s: float) -> None:
        """Take and begin nothing more; returns when what is under way is committed, or patience is at its end."""
        self._leaves = True
        ends = time.monotonic() + patience_s
        for one, _, _ in self._held.values():
            one.valve.set(is_open=False)
        while time.monotonic() < ends and any(one.valve.is_busy for one, _, _ in self._held.values()):
            await asyncio.sleep(DRAIN_LOOK_S)

    def _room(self) -> int:
        """Free places. Tasks that only stream take places of their own, as many again."""
        streaming = sum(one.only_streams for one, _, _ in self._held.values())
        beside = min(streaming, self.settings.concurrency)
        return 0 if self._leaves else self.settings.concurrency + beside - len(self._held)

    async def _fetch(self) -> None:
        while True:
            await self._place()
            free = self._room()
            ready, self._done_with = self._done_with, []
            await patiently(lambda ready=ready: self.queue.finish(ready))  # type: ignore[misc]
            await self._start(await patiently(lambda free=free: self.queue.read(self.name, free, BLOCK_MS)))  # type: ignore[misc]

    async def _place(self) -> None:
        """Wait until there is room for another task."""
        while self._room() <= 0:
            self._freed.clear()
            await self._freed.wait()
            await asyncio.sleep(GATHER_S)

    async def _reclaim(self) -> None:
        """What dead workers left behind, whether or not new messages come."""
        idle_ms = int(self.settings.lease_s * 1000)
        while True:
            await asyncio.sleep(self.settings.lease_s / 3)
            if (count := self._room()) > 0:
                take = lambda count=count: self.queue.reclaim(self.name, idle_ms, count)  # noqa: E731
                await self._start(await patiently(take))

    async def _start(self, messages: Sequence[Message]) -> None:
        """Claim the tasks of the messages in one go and set to work on what we got."""
        by_key = {key: message for message in messages if (key := _key(message))}
        kept = {message.id for message in by_key.values()}
        self._done_with += [message.id for message in messages if message.id not in kept]
        if not by_key:
            return
        for one in await self.ledger.claim(list(by_key)):
            message = by_key.pop(one.claim.key)
            one.valve.set(is_open=not self._leaves)
            running = asyncio.create_task(self._do(one))
            self._held[one.claim] = (one, message.id, running)
        self._done_with += [message.id for message in by_key.values()]  # done, taken, or not wanted now

    async def _do(self, one: Work) -> None:
        with request_ids.bound(request_id_of(one.claim)):
            await self._do_named(one)

    async def _do_named(self, one: Work) -> None:
        try:
            if await self.purse.pays(one, self.tools):
                await TASKS[one.claim.key.phase](one, self.tools)
                await self.tools.keep(one, {}, finish=True)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if _is_only(IdentityChanged, error):
                await self.ledger.give_back([one])
            elif not _is_only(ClaimLost, error):
                await self._count_error(one, error)
        finally:
            _, message_id, _ = self._held.pop(one.claim)
            self._done_with.append(message_id)
            self._freed.set()

    async def _count_error(self, one: Work, error: BaseException) -> None:
        log.error("task_failed", run_id=one.run_id, task=one.claim.key.as_json(), exc_info=error)
        await self.ledger.count_error(one, mask(f"{type(error).__name__}: {error}")[:500])

    async def _renew(self) -> None:
        """Signs of life every third of a lease, and at once where a task has come to wait for something."""
        notes: dict[Claim, str | None] = {}
        due = time.monotonic()
        while True:
            await asyncio.sleep(min(NOTES_S, self.settings.lease_s / 3))
            held = {claim: one.note for claim, (one, _, _) in self._held.items()}
            if time.monotonic() < due and all(notes.get(claim) == note for claim, note in held.items()):
                continue
            due, notes = time.monotonic() + self.settings.lease_s / 3, held
            if held:
                await self._renew_once(held)

    async def _renew_once(self, held: dict[Claim, str | None]) -> None:
        claims = [Held(claim, note, self._held[claim][0].served_by) for claim, note in held.items()]
        ours = await self.ledger.renew(claims)
        await self._let_go([claim for claim in held if claim not in ours and claim in self._held])
        await patiently(lambda: self.queue.renew(self.name, [id_ for _, id_, _ in self._held.values()]))

    async def _heed(self) -> None:
        """Tasks of stopped runs begin nothing new, and go back when they are quiet; those of a cancelled run at once.

        Where the run is resumed meanwhile they go on.
        """
        while True:
            await asyncio.sleep(HEED_S)
            run_ids = sorted({one.run_id for one, _, _ in self._held.values()})
            statuses = await self.ledger.statuses(run_ids) if run_ids else {}
            for one, _, _ in self._held.values():
                is_running = statuses.get(one.run_id, "running") == "running"
                one.valve.set(is_open=is_running and not self._leaves)
            await self._let_go(
                [
                    claim
                    for claim, (one, _, _) in self._held.items()
                    if one.valve.is_quiet or statuses.get(one.run_id) == "cancelled"
                ]
            )

    async def _let_go(self, claims: Sequence[Claim]) -> None:
        """Stop working on these: lost, quiet, or of a cancelled run. The fence decides whether they are free."""
        if not claims:
            return
        given = [self._held[claim] for claim in claims]
        for _, _, running in given:
            running.cancel()
        # their connections are back in the pool before it is closed
        await asyncio.wait([running for _, _, running in given], timeout=CANCELLED_WITHIN_S)
        await self.ledger.give_back([one for one, _, _ in given])


def _key(message: Message) -> TaskKey | None:
    try:
        return TaskKey(**orjson.loads(message.payload))
    except (orjson.JSONDecodeError, TypeError):
        log.warning("unknown_message", payload=message.payload[:200])
        return None


def request_id_of(claim: Claim) -> str:
    """One id for all calls of a claim, which can be told from a row of `failures` too."""
    key = claim.key
    return request_ids.of_parts(key.run_id, key.iteration, key.phase, key.image, claim.attempt)


def _is_only(kind: type[Exception], error: BaseException) -> bool:
    """Whether an error, or every one of a group, is of the kind."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_only(kind, one) for one in error.exceptions)
    return isinstance(error, kind)

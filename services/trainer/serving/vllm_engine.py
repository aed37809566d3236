"""The student's engine by vLLM. In: a checkpoint to load, chat requests for it. Out: its answers.

One process serves whatever the link `current` points at. New weights of the same form are read in place, else
it is started anew; known questions then prove that it serves what was published.
"""

import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson

from services.trainer.serving import probes, vllm_weights
from services.trainer.serving.canary import Disagreement, check
from services.trainer.serving.engine import CanaryDisagrees, Swap, record, refused
from services.trainer.serving.probes import Probe
from services.trainer.serving.vllm_process import VllmProcess
from services.trainer.serving.vllm_request import (
    Student,
    check_whole,
    named,
    named_stream,
    request,
    student_of,
)
from services.trainer.serving.wire import Answer, Wire
from services.trainer.settings import VllmSettings
from shared.errors import EngineUnavailable
from shared.images import ImageStore

CHANGES = {probes.CANARY, "comd.json", "README.md"}  # beside the weights, what may differ in a reload


class VllmEngine:
    """At most one process and one loaded student; `loaded` is None while none may be asked."""

    def __init__(self, settings: VllmSettings, store: ImageStore, home: Path, lost: Callable[[], None]):
        home.mkdir(parents=True, exist_ok=True)
        self.store, self.lost, self.link = store, lost, home / "current"
        self.loaded: str | None = None
        self.swap: Swap = {}
        self.process = VllmProcess(settings, home, home / "vllm.log", self._ended)
        self._student: Student | None = None
        self._form: str | None = None  # of the students that the process can take in place
        self._asleep = False

    async def load(self, name: str, folder: Path) -> None:
        """Serve the student in `folder` as `name`. A base student has no canary: for it vLLM starts anew.

        EngineUnavailable where vLLM does not start, CanaryDisagrees where even a new one answers wrongly.
        """
        self.loaded = None
        self.swap = {"sleep_s": self.swap["sleep_s"]} if self._asleep else {}
        asked, form = probes.read(folder), form_of(folder)
        self._point_at(folder)
        self._student = student_of(name, folder)
        in_place = self.process.running and bool(asked) and form == self._form
        self._form = None
        if not in_place or await self._reload(asked):
            await self._restart(folder)
            if (disagreement := await self._canary(asked)) is not None:
                refused(name, "restart", disagreement)
                raise CanaryDisagrees(name, disagreement)
        self._form, self.loaded = form, name
        record(name, self.swap)

    def release(self) -> None:
        """Answer for no student any more, until the next load: a job has the devices."""
        self.loaded = None

    async def sleep(self) -> None:
        """Give back the devices' memory: by vLLM's sleep mode, or else by its end. On a CPU it may stay."""
        self.release()
        if not self.process.running or self._asleep or not self.process.on_gpu:
            return
        if not self.process.can_sleep:
            await self.process.stop()
            return
        try:
            self.swap = await vllm_weights.sleep(self._wire())
            self._asleep = True
        except EngineUnavailable:
            await self.process.stop()  # the job needs the memory in any case

    async def ask(self, body: bytes) -> Answer:
        """One chat completion, bytes in and bytes out."""
        student = self._loading_or_loaded()
        passed = request(body, student, self.store)
        answer = await self._wire().request("POST", "/v1/chat/completions", passed)
        check_whole(answer.body)
        return Answer(answer.status, answer.headers, named(answer.body, student))

    async def stream(self, body: bytes) -> tuple[Answer, AsyncIterator[bytes]]:
        """The answer's head and the pieces of its body."""
        student = self._loading_or_loaded()
        passed = request(body, student, self.store)
        head, pieces = await self._wire().stream("POST", "/v1/chat/completions", passed)
        return head, named_stream(pieces, student)

    async def close(self) -> None:
        """End vLLM and everything that it started."""
        self.release()
        await self.process.close()

    async def _reload(self, asked: list[Probe]) -> bool:
        """Take the new weights in place; whether that was in vain."""
        assert self._student is not None
        try:
            self.swap |= {"how": "reload", **await vllm_weights.reload(self._wire(), self._asleep)}
            self._asleep = False
            disagreement = await self._canary(asked)
        except EngineUnavailable as error:
            disagreement = Disagreement("new weights", "them to be read in place", error.message)
        if disagreement is not None:
            refused(self._student.name, "reload", disagreement)
        return disagreement is not None

    async def _restart(self, folder: Path) -> None:
        started = time.perf_counter()
        self._asleep = False
        await self.process.start(self.link, dtype_of(folder))
        self.swap |= {"how": "restart", "restart_s": round(time.perf_counter() - started, 3)}

    async def _canary(self, asked: list[Probe]) -> Disagreement | None:
        assert self._student is not None
        started = time.perf_counter()
        disagreement = await check(self.ask, self._student.name, asked, with_logprobs=True)
        self.swap |= {"canary_s": round(time.perf_counter() - started, 3)}
        return disagreement

    def _point_at(self, folder: Path) -> None:
        draft = self.link.with_name(".current")
        draft.unlink(missing_ok=True)
        draft.symlink_to(folder.absolute())
        os.replace(draft, self.link)

    def _loading_or_loaded(self) -> Student:
        if self._student is None:
            raise EngineUnavailable("no student was loaded into vLLM yet")
        return self._student

    def _wire(self) -> Wire:
        if self.process.wire is None:
            raise EngineUnavailable("vLLM is not started")
        return self.process.wire

    def _ended(self) -> None:
        self.loaded = None
        self.lost()


def form_of(folder: Path) -> str:
    """A hash of all but the weights: where it is equal, weights can be read in place."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in CHANGES and path.suffix != ".safetensors":
            whole.update(f"{path.name}\0".encode() + path.read_bytes())
    return whole.hexdigest()


def dtype_of(folder: Path) -> str:
    """The dtype that the checkpoint was published in: vLLM's own choice would round float32 down."""
    config = orjson.loads((folder / "config.json").read_bytes())
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")

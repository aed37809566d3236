"""Waiting requests as batches. In: chat requests from the event loop. Out: their answers, as futures.

One thread owns the model: it takes all that waits (up to a limit) as one batch, or swaps the model.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import Histogram

from comd.engine import model as engine_model
from comd.engine.generate import generate
from comd.engine.likelihood import prompt_logprobs
from comd.engine.model import LoadedModel, Row
from comd.engine.request import ChatRequest
from shared import logs
from shared.errors import ComdError, Conflict, EngineUnavailable
from shared.images import ImageStore
from shared.types import JsonObject

log = logs.get(__name__)
batch_rows = Histogram("comd_engine_batch_rows", "Rows in a batch", buckets=[1, 2, 4, 8, 16, 32, 64, 128])


@dataclass
class Answer:
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    prompt_logprobs: list[JsonObject | None] | None = None  # where they were asked for


@dataclass
class Asked:
    request: ChatRequest
    future: "Future[Answer]"
    on_text: Callable[[str], None] | None


@dataclass
class Swap:
    name: str
    folder: Path
    future: "Future[str]"


class Batcher:
    """The life of the worker thread and the model it holds."""

    def __init__(self, store: ImageStore | None, max_batch: int, dtype: str, threads: int):
        self.store, self.max_batch, self.dtype, self.threads = store, max_batch, dtype, threads
        self.loaded: LoadedModel | None = None
        self._waiting: queue.SimpleQueue[Asked | Swap | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def ask(self, request: ChatRequest, on_text: Callable[[str], None] | None = None) -> "Future[Answer]":
        """Queue a request; `on_text` gets the text so far after each token, in the model's thread."""
        future: Future[Answer] = Future()
        self._waiting.put(Asked(request, future, on_text))
        return future

    async def load(self, name: str, folder: Path) -> str:
        """Swap to the model saved in `folder`, after the batch that runs. Gives its name."""
        future: Future[str] = Future()
        self._waiting.put(Swap(name, folder, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=5)

    def _work(self) -> None:
        import torch

        torch.set_num_threads(self.threads)
        while (item := self._waiting.get()) is not None:
            batch: list[Asked] = []
            while isinstance(item, Asked):
                batch.append(item)
                item = None if len(batch) >= self.max_batch else self._next()
            self._answer(batch)
            if isinstance(item, Swap):
                self._swap(item)

    def _next(self) -> Asked | Swap | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _swap(self, swap: Swap) -> None:
        try:
            self.loaded = engine_model.load(swap.name, swap.folder, self.store, self.dtype)
            log.info("model_loaded", model=swap.name)
            swap.future.set_result(swap.name)
        except Exception as error:  # the old model stays, and whoever asked for the new one hears why
            swap.future.set_exception(error)

    def _answer(self, batch: list[Asked]) -> None:
        ready: list[tuple[Asked, Row]] = []
        for asked in batch:
            if not asked.future.set_running_or_notify_cancel():
                continue
            try:
                ready.append((asked, self._row(asked)))
            except ComdError as error:
                asked.future.set_exception(error)
            except Exception as error:
                log.error("request_failed", exc_info=error)
                asked.future.set_exception(error)
        if ready:
            self._generate(ready)

    def _generate(self, ready: list[tuple[Asked, Row]]) -> None:
        assert self.loaded is not None  # else no row would be ready
        batch_rows.observe(len(ready))
        try:
            generate(self.loaded, [row for _, row in ready])
            scored = [
                prompt_logprobs(self.loaded, row) if asked.request.prompt_logprobs else None
                for asked, row in ready
            ]
        except Exception as error:
            log.error("batch_failed", rows=len(ready), exc_info=error)
            for asked, _ in ready:
                asked.future.set_exception(error)
            return
        for (asked, row), logprobs in zip(ready, scored, strict=True):
            answer = Answer(row.text, row.finish_reason, len(row.prompt), len(row.tokens), logprobs)
            asked.future.set_result(answer)

    def _row(self, asked: Asked) -> Row:
        request, loaded = asked.request, self.loaded
        if loaded is None:
            raise EngineUnavailable("no model is loaded yet")
        if request.model != loaded.name:
            raise Conflict(
                f"model {request.model!r} is not loaded; {loaded.name!r} is", code="checkpoint_not_loaded"
            )
        pictures = [loaded.pictures.get(url) for url in request.dialogue.image_urls]
        row = Row(
            prompt=loaded.renderer.prompt(request.dialogue.messages, pictures, request.ending),
            pictures=pictures,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed,
            stops=request.stops,
            on_text=asked.on_text,
        )
        engine_model.check_length(loaded, row)
        return row


def usage(answer: Answer) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }

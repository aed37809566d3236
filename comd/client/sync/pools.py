# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""`client.pools`, `client.instructions`, `client.images`: what a run teaches its student with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from comd.client.exported import Exported, drafted
from comd.client.service import at, given
from comd.client.sync.link import Link
from comd.client.sync.pages import rows
from services.coordinator.api.instruction_shapes import (
    Instruction,
    JudgedInstruction,
    JudgedPage,
    PoolItem,
    PoolPage,
)

Pool = Literal["tuning", "cache"]
Format = Literal["llava", "openai", "parquet"]
Show = Literal["hardest", "difficult", "easy", "better", "unjudged", "all"]


class Pools:
    """`tuning`: the instructions born in an iteration; `cache`: all born up to it. Default: the newest iteration."""

    def __init__(self, link: Link):
        self._link = link

    def items(self, run_id: str, pool: Pool, iteration: int | None = None) -> Iterator[PoolItem]:
        """Every instruction of a pool in id order, answered or not."""
        return rows(self._link, PoolPage, at("runs", run_id, "pools", pool), **given(iteration=iteration))

    def export(
        self,
        run_id: str,
        pool: Pool,
        to: str | Path | BinaryIO,
        format: Format = "llava",
        iteration: int | None = None,
        images: bool = False,
        on_bytes: Callable[[int], object] = lambda num_bytes: None,
    ) -> Exported:
        """Write the answered instructions, and where each comes from, to a file, however many there are.

        `images`: the pictures' bytes as well, in Parquet only. A path has all of it or is not there; an open file may
        be left with a part where the connection breaks (EngineUnavailable). `on_bytes` is told of every part.
        """
        query = given(format=format, images=images, iteration=iteration)
        with (
            drafted(to) as file,
            self._link.stream("export", at("runs", run_id, "pools", pool, "export"), **query) as reply,
        ):
            for part in reply.iter_bytes():
                file.write(part)
                on_bytes(len(part))
        return Exported.of(reply.headers)


class Instructions:
    def __init__(self, link: Link):
        self._link = link

    def list(
        self,
        run_id: str,
        iteration: int | None = None,
        show: Show = "hardest",
        task_type: str | None = None,
        words: str | None = None,
    ) -> Iterator[JudgedInstruction]:
        """The instructions of an iteration (default: the last with verdicts) with answers, scores and difficulty.

        `hardest`: all that are judged, the hardest first; `difficult` and `easy`: by the run's tau; `better`: student
        better than teacher; `unjudged`; `all`: the whole cache pool in id order. `words`: all of them, in any order.
        """
        only = given(iteration=iteration, show=show, task_type=task_type, words=words)
        return rows(self._link, JudgedPage, at("runs", run_id, "instructions"), limit=200, **only)

    def get(self, run_id: str, instruction_id: str) -> Instruction:
        """One instruction with its ancestry, children, answers and verdicts by iteration."""
        return self._link.get(Instruction, at("runs", run_id, "instructions", instruction_id))


class Images:
    def __init__(self, link: Link):
        self._link = link

    def get(self, sha256: str) -> bytes:
        """A picture's bytes: JPEG, PNG or WebP. NotFound where the store has none of that name."""
        reply = self._link.send("GET", at("images", sha256))
        return reply.content

"""`client.benchmarks`: public test sets in their official layouts, read in by the coordinator."""

from pathlib import Path

from comd.client.aio.link import AsyncLink
from comd.client.service import at, given
from services.coordinator.api.evaluation_shapes import Benchmark, BenchmarkList
from services.coordinator.benchmarks.items import Kind


class AsyncBenchmarks:
    def __init__(self, link: AsyncLink):
        self._link = link

    async def list(self) -> list[Benchmark]:
        """All benchmarks, the oldest first."""
        found = await self._link.get(BenchmarkList, at("benchmarks"))
        return found.data

    async def get(self, name: str) -> Benchmark:
        """One benchmark. NotFound where there is none of the name."""
        return await self._link.get(Benchmark, at("benchmarks", name))

    async def register(self, name: str, kind: Kind, path: str | Path, split: str | None = None) -> Benchmark:
        """Read a folder in its publisher's layout, as the coordinator's machine sees it, below `COMD_DATA_ROOTS`.

        The same content again changes nothing; Conflict where the name has another content. Unprocessable names what
        is missing or malformed.
        """
        body = given(name=name, kind=kind, path=str(Path(path).absolute()), split=split)
        return await self._link.post(Benchmark, at("benchmarks"), body, timeout=None)

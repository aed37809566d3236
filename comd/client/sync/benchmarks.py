# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""`client.benchmarks`: public test sets in their official layouts, read in by the coordinator."""

from pathlib import Path

from comd.client.service import at, given
from comd.client.sync.link import Link
from services.coordinator.api.evaluation_shapes import Benchmark, BenchmarkList
from services.coordinator.benchmarks.items import Kind


class Benchmarks:
    def __init__(self, link: Link):
        self._link = link

    def list(self) -> list[Benchmark]:
        """All benchmarks, the oldest first."""
        found = self._link.get(BenchmarkList, at("benchmarks"))
        return found.data

    def get(self, name: str) -> Benchmark:
        """One benchmark. NotFound where there is none of the name."""
        return self._link.get(Benchmark, at("benchmarks", name))

    def register(self, name: str, kind: Kind, path: str | Path, split: str | None = None) -> Benchmark:
        """Read a folder in its publisher's layout, as the coordinator's machine sees it, below `COMD_DATA_ROOTS`.

        The same content again changes nothing; Conflict where the name has another content. Unprocessable names what
        is missing or malformed.
        """
        body = given(name=name, kind=kind, path=str(Path(path).absolute()), split=split)
        return self._link.post(Benchmark, at("benchmarks"), body, timeout=None)

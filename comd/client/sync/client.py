# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""The coordinator's REST API from Python: `Client`, from which `Client` is made."""

from collections.abc import Iterator
from types import TracebackType

import httpx

from comd.client.service import at, coordinator
from comd.client.sync.benchmarks import Benchmarks
from comd.client.sync.datasets import Datasets
from comd.client.sync.evaluations import Evaluations
from comd.client.sync.keys import Keys
from comd.client.sync.link import Link
from comd.client.sync.pages import rows
from comd.client.sync.pools import Images, Instructions, Pools
from comd.client.sync.runs import Runs
from comd.client.sync.tables import Tables
from services.coordinator.api.shapes import Findings, Log, LogEntry
from shared.types import JsonObject


class Client:
    """A connection to one coordinator; a context that closes it.

    `url`: default `COMD_URL`, else http://127.0.0.1:8100. `key`: default `COMD_API_KEY`, else this machine's.
    `retries`: how often a request that is safe to repeat is repeated where the coordinator is away for a moment.

    Every method raises errors of `shared.errors` with `status`, `code`, `message` and `hint`: EngineUnavailable where
    the coordinator cannot be reached, Unauthorized for a wrong key, NotFound, Conflict, Unprocessable ...
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ):
        self._link = Link(coordinator(url, key), retries, transport)
        self.url = self._link.service.url
        self.datasets = Datasets(self._link)
        self.runs = Runs(self._link)
        self.pools = Pools(self._link)
        self.instructions = Instructions(self._link)
        self.images = Images(self._link)
        self.benchmarks = Benchmarks(self._link)
        self.evaluations = Evaluations(self._link)
        self.keys = Keys(self._link)
        self.tables = Tables(self.runs, self.pools, self.instructions)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._link.close()

    def log(self) -> Iterator[LogEntry]:
        """The changes of all runs and those of the system itself, the oldest first."""
        return rows(self._link, Log, at("log"), cursor="after")

    def doctor(self) -> Findings:
        """What the coordinator finds of itself and of all that it talks to."""
        return self._link.get(Findings, at("doctor"))

    def health(self) -> JsonObject:
        """`status`, `service` and `version`; it needs no key."""
        return self._link.ask("GET", "/health")

    def ready(self) -> JsonObject:
        """`ready` and `reason`; EngineUnavailable with the reason where no work can be done."""
        return self._link.ask("GET", "/ready")

    def metrics(self) -> str:
        """Prometheus' text."""
        reply = self._link.send("GET", "/metrics")
        return reply.text

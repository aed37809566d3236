"""The coordinator's REST API from Python: `AsyncClient`, from which `Client` is made."""

from collections.abc import AsyncIterator
from types import TracebackType

import httpx

from comd.client.aio.benchmarks import AsyncBenchmarks
from comd.client.aio.datasets import AsyncDatasets
from comd.client.aio.evaluations import AsyncEvaluations
from comd.client.aio.keys import AsyncKeys
from comd.client.aio.link import AsyncLink
from comd.client.aio.pages import rows
from comd.client.aio.pools import AsyncImages, AsyncInstructions, AsyncPools
from comd.client.aio.runs import AsyncRuns
from comd.client.aio.tables import AsyncTables
from comd.client.service import at, coordinator
from services.coordinator.api.shapes import Findings, Log, LogEntry
from shared.types import JsonObject


class AsyncClient:
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
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self._link = AsyncLink(coordinator(url, key), retries, transport)
        self.url = self._link.service.url
        self.datasets = AsyncDatasets(self._link)
        self.runs = AsyncRuns(self._link)
        self.pools = AsyncPools(self._link)
        self.instructions = AsyncInstructions(self._link)
        self.images = AsyncImages(self._link)
        self.benchmarks = AsyncBenchmarks(self._link)
        self.evaluations = AsyncEvaluations(self._link)
        self.keys = AsyncKeys(self._link)
        self.tables = AsyncTables(self.runs, self.pools, self.instructions)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._link.close()

    def log(self) -> AsyncIterator[LogEntry]:
        """The changes of all runs and those of the system itself, the oldest first."""
        return rows(self._link, Log, at("log"), cursor="after")

    async def doctor(self) -> Findings:
        """What the coordinator finds of itself and of all that it talks to."""
        return await self._link.get(Findings, at("doctor"))

    async def health(self) -> JsonObject:
        """`status`, `service` and `version`; it needs no key."""
        return await self._link.ask("GET", "/health")

    async def ready(self) -> JsonObject:
        """`ready` and `reason`; EngineUnavailable with the reason where no work can be done."""
        return await self._link.ask("GET", "/ready")

    async def metrics(self) -> str:
        """Prometheus' text."""
        reply = await self._link.send("GET", "/metrics")
        return reply.text

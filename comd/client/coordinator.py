"""The coordinator's REST API from Python: what the command line and the demo drive it with.

Errors of the service come out as ComdError with its message; a service that is away as EngineUnavailable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from comd.service import Json, Service
from shared.errors import ComdError


class Coordinator:
    """A connection to one coordinator."""

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None):
        self.url = url
        hint = "start it with `comd up`, or set COMD_URL"
        self._service = Service("coordinator", url, key, hint, transport)
        self._ask = self._service.ask

    def __enter__(self) -> "Coordinator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service.close()

    def datasets(self) -> list[Json]:
        return list(self._ask("GET", "/v1/datasets")["data"])

    def register_dataset(self, name: str, file: Path, images: Path, purpose: str = "instruct") -> Json:
        """Import a LLaVA-style JSON file and its picture folder, both as the coordinator's machine sees them.

        It answers when all is read; after a lost connection the same call goes on where the import is.
        """
        body = {
            "name": name,
            "path": str(file.absolute()),
            "images": str(images.absolute()),
            "purpose": purpose,
        }
        return self._ask("POST", "/v1/datasets", json=body, timeout=None)

    def import_progress(self, name: str) -> Json | None:
        """How far the import of the data set is; None where it is not there (yet), or complete."""
        found = [one for one in self.datasets() if one["name"] == name]
        return found[0]["progress"] if found else None

    def runs(self) -> list[Json]:
        return list(self._ask("GET", "/v1/runs")["data"])

    def find_run(self, name_or_id: str) -> Json:
        """The run of that id, or the newest of that name."""
        named = [run for run in self.runs() if name_or_id in {run["id"], run["name"]}]
        if not named:
            raise ComdError(f"no run is called {name_or_id!r}; `comd run list` shows those there are")
        return max(named, key=lambda run: str(run["created_at"]))

    def create_run(self, name: str, dataset: str, config: Json) -> Json:
        return self._ask("POST", "/v1/runs", json={"name": name, "dataset": dataset, "config": config})

    def run(self, run_id: str) -> Json:
        return self._ask("GET", f"/v1/runs/{run_id}")

    def start(self, run_id: str, count: int, idempotency_key: str | None = None) -> Json:
        headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
        return self._ask("POST", f"/v1/runs/{run_id}/iterations", json={"count": count}, headers=headers)

    def change(self, run_id: str, change: Json) -> Json:
        """Swap engines behind roles: `{"endpoints": {"teacher": {"base_url": ..., "model": ...}}}`."""
        return self._ask("PATCH", f"/v1/runs/{run_id}", json=change)

    def control(self, run_id: str, action: str) -> Json:
        """`pause`, `resume`, `retry` or `cancel`."""
        return self._ask("POST", f"/v1/runs/{run_id}/{action}")

    def branch(self, run_id: str, iteration: int, name: str, config: Json) -> Json:
        """A new run that stands where this one stood right after the training of `iteration`."""
        body = {"iteration": iteration, "name": name, "config": config}
        return self._ask("POST", f"/v1/runs/{run_id}/branch", json=body)

    def set_budget(self, run_id: str, limit: float) -> Json:
        """What the run may spend, in its currency."""
        return self._ask("PATCH", f"/v1/runs/{run_id}", json={"budget": limit})

    def report(self, run_id: str) -> Json:
        return self._ask("GET", f"/v1/runs/{run_id}/report")

    def curve(self, run_id: str, number: int) -> list[Json]:
        """Step, loss and learning rate of an iteration's training, the oldest first."""
        return list(self._ask("GET", f"/v1/runs/{run_id}/iterations/{number}/curve")["data"])

    def pool(self, run_id: str, pool: str, iteration: int) -> list[Json]:
        """Every instruction of the `tuning` or `cache` pool."""
        return list(self._pages(f"/v1/runs/{run_id}/pools/{pool}", "cursor", iteration=iteration))

    def log(self, run_id: str) -> Iterator[Json]:
        """Every change of the run's state, the oldest first."""
        return self._pages(f"/v1/runs/{run_id}/log", "after")

    def failures(self, run_id: str, **only: Any) -> Iterator[Json]:
        """What could not be done; `only` may name an iteration and a phase."""
        asked = {name: value for name, value in only.items() if value is not None}
        return self._pages(f"/v1/runs/{run_id}/failures", "cursor", **asked)

    def _pages(self, path: str, cursor: str, **query: Any) -> Iterator[Json]:
        """The rows of all pages; `cursor` is the query's name for where a page begins."""
        while True:
            page = self._ask("GET", path, params={**query, "limit": 1000})
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            query[cursor] = page["next_cursor"]

    @contextmanager
    def export(
        self, run_id: str, pool: str, form: str, iteration: int | None, images: bool
    ) -> Iterator[httpx.Response]:
        """The pool as `llava`, `openai` or `parquet`, to be read in parts."""
        query: Json = {
            "format": form,
            "images": images,
            **({} if iteration is None else {"iteration": iteration}),
        }
        with self._service.stream("export", f"/v1/runs/{run_id}/pools/{pool}/export", query) as reply:
            yield reply

    def keys(self) -> list[Json]:
        return list(self._ask("GET", "/v1/keys")["data"])

    def make_key(self, name: str, scope: str) -> Json:
        """The new key, its `key` included."""
        return self._ask("POST", "/v1/keys", json={"name": name, "scope": scope})

    def revoke_key(self, name: str) -> Json:
        return self._ask("DELETE", f"/v1/keys/{quote(name, safe='')}")

    def doctor(self) -> Json:
        """What the coordinator finds of itself and of all that it talks to."""
        return self._ask("GET", "/v1/doctor")

    def picture(self, sha256: str) -> bytes:
        return self._service.send("GET", f"/v1/images/{sha256}").content

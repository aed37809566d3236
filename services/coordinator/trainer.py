"""The trainer as the driver calls it: files, jobs, leases. Errors are those of `clients`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from services.coordinator.outgoing import Http, path
from shared.types import JsonObject


@dataclass(frozen=True)
class Lease:
    """What the trainer says of a run's lease on its devices."""

    held: bool
    loaded: bool


@dataclass(frozen=True)
class Trainer:
    http: Http
    url: str

    async def upload(self, file: Path) -> str:
        """A training file, streamed from disk; the same content gives the same id."""
        with file.open("rb") as content:
            reply = await self.http.request(
                "POST",
                f"{self.url}/v1/files",
                files={"file": (file.name, content, "application/jsonl")},
                data={"purpose": "fine-tune"},
            )
        return str(reply["id"])

    async def create_job(self, body: JsonObject, idempotency_key: str, owner: str) -> JsonObject:
        """A job that waits for the owner's lease; a repeat of the key gives the same job."""
        headers = {"idempotency-key": idempotency_key, "x-comd-lease": owner}
        return await self.http.request("POST", f"{self.url}/v1/fine_tuning/jobs", body, headers=headers)

    async def job(self, job_id: str) -> JsonObject:
        return await self.http.request("GET", f"{self.url}/v1/fine_tuning/jobs/{path(job_id)}")

    async def events(self, job_id: str, after: str | None, limit: int) -> JsonObject:
        """A page of the job's events, the newest first, behind the one named `after`."""
        asked = {"limit": limit} | ({} if after is None else {"after": after})
        return await self.http.request(
            "GET", f"{self.url}/v1/fine_tuning/jobs/{path(job_id)}/events?{urlencode(asked)}"
        )

    async def cancel_job(self, job_id: str) -> None:
        await self.http.request("POST", f"{self.url}/v1/fine_tuning/jobs/{path(job_id)}/cancel")

    async def lease(self, owner: str, checkpoint: str) -> Lease:
        """Ask for the devices with this checkpoint loaded, or say that they are still needed."""
        body: dict[str, Any] = {"owner": owner, "checkpoint": checkpoint}
        reply = await self.http.request("POST", f"{self.url}/v1/leases", body)
        return Lease(held=reply.get("state") == "held", loaded=bool(reply.get("loaded")))

    async def release(self, owner: str) -> None:
        await self.http.request("DELETE", f"{self.url}/v1/leases/{path(owner)}")

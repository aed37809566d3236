"""Fine-tuning jobs and their states. In: what was asked and what happened. Out: `job.json` in each job's
folder, written by fsync and rename, and `events.jsonl` beside it: all that a restart needs.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from services.trainer import durable
from services.trainer.settings import Adaptation, Hyperparameters, Stage
from shared.errors import Conflict, NotFound
from shared.types import JsonObject

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
TRANSITIONS: dict[Status, set[Status]] = {
    "queued": {"running", "paused", "failed", "cancelled"},
    # queued again: the service was restarted
    "running": {"queued", "paused", "succeeded", "failed", "cancelled"},
    "paused": {"queued", "cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}


class Asked(BaseModel):
    """What a job was created with."""

    model_config = ConfigDict(frozen=True)

    training_file: str
    model: str
    seed: int
    stage: Stage
    hyperparameters: Hyperparameters = Hyperparameters()
    suffix: str | None = None
    owner: str | None = None
    adaptation: Adaptation = "full"
    metadata: dict[str, str] | None = None


class Job(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    number: int  # order of arrival
    asked: Asked
    status: Status = "queued"
    created_at: int
    finished_at: int | None = None
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    error: JsonObject | None = None
    reason: str | None = None  # why it is paused
    metrics: JsonObject = {}

    @property
    def owner(self) -> str:
        """Who holds the lease for it: the run that asked, else the job itself."""
        return self.asked.owner or self.id

    @property
    def over(self) -> bool:
        return not TRANSITIONS[self.status]


class Jobs:
    """All jobs of this trainer, in memory and on disk."""

    def __init__(self, folder: Path):
        self.root = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs = {job.id: job for job in self._read()}
        for job_id in self._jobs:
            self._end_torn_line(job_id)

    def create(self, asked: Asked, idempotency_key: str | None) -> Job:
        """A new job, or the one that this key made before. Conflict where it was asked for something else."""
        made_of = hashlib.sha256((idempotency_key or secrets.token_hex(16)).encode()).hexdigest()
        job_id = f"ftjob-{made_of[:24]}"
        if (known := self._jobs.get(job_id)) is not None:
            if known.asked != asked:
                raise Conflict(
                    f"Idempotency-Key {idempotency_key!r} made job {job_id} with other parameters; use a new key",
                    code="idempotency_conflict",
                )
            return known
        number = max((job.number for job in self._jobs.values()), default=0) + 1
        self.folder(job_id).mkdir(exist_ok=True)
        job = self._save(Job(id=job_id, number=number, asked=asked, created_at=int(time.time())))
        self.event(job_id, f"Created {asked.stage} job from {asked.model}")
        return job

    def get(self, job_id: str) -> Job:
        """NotFound where there is no such job."""
        if (job := self._jobs.get(job_id)) is None:
            raise NotFound(f"no fine-tuning job {job_id[:60]!r}")
        return job

    def all(self) -> list[Job]:
        """All jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: -job.number)

    def waiting(self, owner: str | None = None) -> list[Job]:
        """Queued jobs in their order, of one owner or of all."""
        found = [job for job in reversed(self.all()) if job.status == "queued"]
        return [job for job in found if owner in (None, job.owner)]

    def move(self, job_id: str, status: Status, reason: str | None = None, **changes: Any) -> Job:
        """Change a job's state. Conflict where the transition table has no such step."""
        job = self.get(job_id)
        if status not in TRANSITIONS[job.status]:
            raise Conflict(f"job {job_id} is {job.status}; it cannot become {status}")
        finished = int(time.time()) if not TRANSITIONS[status] else None
        said = reason or (changes.get("error") or {}).get("message")
        changes |= {"status": status, "finished_at": finished, "reason": reason}
        moved = self._save(job.model_copy(update=changes))
        level = {"failed": "error", "paused": "warn"}.get(status, "info")
        self.event(job_id, f"Job {status}" + (f": {said}" if said else ""), level)
        return moved

    def note(self, job_id: str, metrics: JsonObject) -> None:
        """Merge metrics into the job; on disk with its next change of state."""
        job = self.get(job_id)
        self._jobs[job_id] = job.model_copy(update={"metrics": {**job.metrics, **metrics}})

    def event(self, job_id: str, message: str, level: str = "info", data: JsonObject | None = None) -> None:
        """Append to the job's events."""
        line = {
            "object": "fine_tuning.job.event",
            "id": f"ftevent-{secrets.token_hex(12)}",
            "created_at": int(time.time()),
            "level": level,
            "message": message,
            "type": "metrics" if data else "message",
            "data": data,
        }
        durable.append(self.folder(job_id) / "events.jsonl", orjson.dumps(line) + b"\n")

    def events(self, job_id: str) -> list[JsonObject]:
        """All events of a job, the oldest first; a line torn by a crash is left out."""
        return self.events_from(job_id, 0)[0]

    def events_from(self, job_id: str, offset: int) -> tuple[list[JsonObject], int]:
        """The events behind a place in the file, and the place where they end."""
        with (self.folder(self.get(job_id).id) / "events.jsonl").open("rb") as file:
            file.seek(offset)
            whole, separator, _ = file.read().rpartition(b"\n")
        events = [event for line in whole.split(b"\n") if (event := parsed(line)) is not None]
        return events, offset + len(whole) + len(separator)

    def event_lines(self, job_id: str) -> list[bytes]:
        """The events as they are written, the newest first; who wants a page parses no more than that."""
        path = self.folder(self.get(job_id).id) / "events.jsonl"
        return path.read_bytes().rpartition(b"\n")[0].split(b"\n")[::-1]

    def folder(self, job_id: str) -> Path:
        return self.root / job_id

    def _end_torn_line(self, job_id: str) -> None:
        """So that the next event after a crash stands on a line of its own."""
        path = self.folder(job_id) / "events.jsonl"
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")

    def _save(self, job: Job) -> Job:
        durable.write(self.folder(job.id) / "job.json", orjson.dumps(job.model_dump()))
        self._jobs[job.id] = job
        return job

    def _read(self) -> Iterator[Job]:
        for path in self.root.glob("ftjob-*/job.json"):
            yield Job.model_validate_json(path.read_bytes())


def parsed(line: bytes) -> JsonObject | None:
    """An event's line; None where a crash tore it."""
    try:
        event: JsonObject = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event

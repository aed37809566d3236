"""The trainer's API from Python: files, jobs and their losses. Errors are those of `comd.client`."""

from pathlib import Path
from types import TracebackType

from comd.client.service import Service, at
from comd.client.sync.link import Link
from shared.types import JsonObject

HINT = "start it with `comd up` or `python -m services.trainer`, or give --trainer-url"
EVENTS_AT_ONCE = 10_000
Losses = list[tuple[float, float]]  # (step, loss)


class Trainer:
    """A connection to one trainer."""

    def __init__(self, url: str, key: str):
        self._link = Link(Service("trainer", url, key, HINT))

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()

    def upload(self, file: Path) -> str:
        """The training file's id, once the trainer has checked every line; equal content has equal ids."""
        with file.open("rb") as content:
            sent = {"file": (file.name, content, "application/jsonl")}
            about = self._link.ask(
                "POST", at("files"), files=sent, data={"purpose": "fine-tune"}, timeout=None
            )
        return str(about["id"])

    def create_job(self, body: JsonObject, idempotency_key: str) -> JsonObject:
        """A job, or the one that the key made before."""
        headers = {"idempotency-key": idempotency_key}
        return self._link.ask("POST", at("fine_tuning", "jobs"), json=body, headers=headers, harmless=True)

    def job(self, job_id: str) -> JsonObject:
        return self._link.ask("GET", at("fine_tuning", "jobs", job_id))

    def losses(self, job_id: str) -> Losses:
        """The loss of every step; a step that was taken again after a crash counts as it was the last time."""
        found: dict[float, float] = {}
        query: JsonObject = {"limit": EVENTS_AT_ONCE}
        events: list[JsonObject] = []
        while True:
            page = self._link.ask("GET", at("fine_tuning", "jobs", job_id, "events"), params=query)
            events += page["data"]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        for event in reversed(events):  # the newest come first
            if event["type"] == "metrics":
                found[float(event["data"]["step"])] = float(event["data"]["loss"])
        return sorted(found.items())

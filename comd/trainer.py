"""The trainer's API from Python: files, jobs and their losses. Errors are those of `comd.service`."""

from pathlib import Path
from types import TracebackType

from comd.service import Json, Service

EVENTS_AT_ONCE = 10_000
Losses = list[tuple[float, float]]  # (step, loss)


class Trainer:
    """A connection to one trainer."""

    def __init__(self, url: str, key: str):
        hint = "start it with `comd up` or `python -m services.trainer`, or give --trainer-url"
        self._service = Service("trainer", url, key, hint)
        self._ask = self._service.ask

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service.close()

    def upload(self, file: Path) -> str:
        """The training file's id, once the trainer has checked every line; equal content has equal ids."""
        with file.open("rb") as content:
            sent = {"file": (file.name, content, "application/jsonl")}
            about = self._ask("POST", "/v1/files", files=sent, data={"purpose": "fine-tune"}, timeout=None)
        return str(about["id"])

    def create_job(self, body: Json, idempotency_key: str) -> Json:
        """A job, or the one that the key made before."""
        headers = {"idempotency-key": idempotency_key}
        return self._ask("POST", "/v1/fine_tuning/jobs", json=body, headers=headers)

    def job(self, job_id: str) -> Json:
        return self._ask("GET", f"/v1/fine_tuning/jobs/{job_id}")

    def losses(self, job_id: str) -> Losses:
        """The loss of every step; a step that was taken again after a crash counts as it was the last time."""
        found: dict[float, float] = {}
        query: Json = {"limit": EVENTS_AT_ONCE}
        events: list[Json] = []
        while True:
            page = self._ask("GET", f"/v1/fine_tuning/jobs/{job_id}/events", params=query)
            events += page["data"]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        for event in reversed(events):  # the newest come first
            if event["type"] == "metrics":
                found[float(event["data"]["step"])] = float(event["data"]["loss"])
        return sorted(found.items())

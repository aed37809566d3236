"""The trainer as a process of its own, for tests that start it, kill it and look into its folder."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from safetensors.torch import load_file

from shared.images import ImageStore
from tests.loopback import free_port
from tests.tiny_student import make_student, training_file

API, INTERNAL = "trainer-test-key", "trainer-test-internal-key"
ROOT = Path(__file__).parents[2]


@dataclass
class TrainerProcess:
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "COMD_HOME": str(self.folder),
            "COMD_API_KEY": API,
            "COMD_INTERNAL_KEY": INTERNAL,
            "COMD_TRAINER_BASE_STUDENTS": f'{{"tiny": "{self.folder}/student"}}',
            "COMD_TRAINER_IMAGE_STORE": str(self.folder / "images"),
            "COMD_TRAINER_TRACKING": "[]",
            **self.settings,
        }
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer", "--port", str(self.port)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.healthy(), 30)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(15)

    def healthy(self) -> bool:
        try:
            return self.call("GET", "/health").status_code == 200
        except httpx.HTTPError:
            return False

    def call(self, method: str, path: str, key: str = INTERNAL, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **options)

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/v1/fine_tuning/jobs/{job_id}").json())

    def over(self, job_id: str, timeout_s: float = 90) -> dict[str, Any]:
        """The job when it has come to its end."""
        until(lambda: self.job(job_id)["status"] in {"succeeded", "failed", "cancelled", "paused"}, timeout_s)
        return self.job(job_id)

    def lease(self, owner: str, checkpoint: str | None = None) -> dict[str, Any]:
        return dict(self.call("POST", "/v1/leases", json={"owner": owner, "checkpoint": checkpoint}).json())

    def create(self, file_id: str, owner: str | None = None, **fields: Any) -> dict[str, Any]:
        lengths = {name: fields.pop(name) for name in ("n_epochs", "max_steps") if name in fields}
        parameters = {"batch_size": 8, "learning_rate": 1e-2, "n_epochs": 1, **lengths}
        body = {"training_file": file_id, "model": "tiny", "seed": 3, "hyperparameters": parameters, **fields}
        headers = {"x-comd-lease": owner} if owner else {}
        reply = self.call("POST", "/v1/fine_tuning/jobs", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def upload(self, name: str = "train.jsonl") -> str:
        """The id of a training file of the folder."""
        content = {"file": (name, (self.folder / name).read_bytes())}
        reply = self.call("POST", "/v1/files", files=content, data={"purpose": "fine-tune"})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    def act(self, job_id: str, verb: str, **body: Any) -> httpx.Response:
        """Cancel, pause or resume a job."""
        return self.call("POST", f"/v1/fine_tuning/jobs/{job_id}/{verb}", json=body)

    def step(self, job_id: str) -> int:
        """The last step that the running job has told of."""
        return int(self.job(job_id)["metrics"].get("step") or 0)

    def losses(self, job_id: str) -> dict[int, float]:
        """The loss of each step."""
        text = (self.job_folder(job_id) / "progress.jsonl").read_text()
        lines = [orjson.loads(line) for line in text.splitlines()]
        return {line["step"]: line["loss"] for line in lines if line["kind"] == "step"}

    def messages(self, job_id: str) -> list[str]:
        """What has been said of the job, the newest first."""
        reply = self.call("GET", f"/v1/fine_tuning/jobs/{job_id}/events", params={"limit": 10000})
        return [event["message"] for event in reply.json()["data"]]

    def job_folder(self, job_id: str) -> Path:
        return self.home / "trainer" / "jobs" / job_id

    @property
    def home(self) -> Path:
        return Path(self.settings.get("COMD_HOME", self.folder))

    def weights(self, checkpoint: str) -> dict[str, Any]:
        return dict(load_file(self.home / "trainer" / "checkpoints" / checkpoint / "model.safetensors"))

    def family(self) -> list[int]:
        """The pids of the process and of everything below it."""
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in children.read_text().split()] if children.exists() else []
        return found


def until(condition: Callable[[], bool], timeout_s: float, pause_s: float = 0.1) -> None:
    """Wait for something; a failed test where it does not happen in time."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(pause_s)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def prepared_folder(folder: Path, num_records: int = 24) -> Path:
    """A folder with the tiny student, pictures and a training file about them."""
    make_student(folder / "student")
    training_file(folder / "train.jsonl", ImageStore(str(folder / "images")), num_records)
    return folder

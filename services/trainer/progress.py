"""What a running job says. In: lines that its first rank appends to a file. Out: the job's metrics, events."""

from pathlib import Path

import orjson

from services.trainer.jobs import Jobs
from shared.types import JsonObject


class Progress:
    """The reader of one job's lines; whole lines only, each once."""

    def __init__(self, job_id: str, folder: Path, jobs: Jobs):
        self.job_id, self.path, self.jobs = job_id, folder / "progress.jsonl", jobs
        self.offset = 0

    @property
    def metrics(self) -> JsonObject:
        return self.jobs.get(self.job_id).metrics

    def read(self) -> None:
        """Take what has been written since the last time."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            whole, separator, _ = file.read().rpartition(b"\n")
        self.offset += len(whole) + len(separator)
        for line in whole.splitlines():
            self._take(orjson.loads(line))

    def _take(self, line: JsonObject) -> None:
        kind = line.pop("kind")
        self.jobs.note(self.job_id, line)
        if kind == "step":
            total = self.metrics.get("total_steps")
            self.jobs.event(
                self.job_id, f"Step {line['step']}/{total}: training loss={line['loss']:.4f}", data=line
            )
        elif kind == "prepared":
            self.jobs.event(
                self.job_id,
                f"{line['records']} records, {line['turns']} turns, {line['tokens']} tokens, "
                f"{line['total_steps']} steps; {line['left_out']} turns beyond the length limit left out",
            )
        else:
            self.jobs.event(self.job_id, f"Trained: mean loss {line['train_loss']:.4f}")

"""What a running job says. In: lines that its first rank appends to a file. Out: the job's metrics and events."""

from pathlib import Path

import orjson
from prometheus_client import Gauge

from services.trainer import durable
from services.trainer.jobs import Jobs
from shared.types import JsonObject

GAUGES = {
    "step": Gauge("comd_trainer_step", "Optimizer steps of the running or last job"),
    "total_steps": Gauge("comd_trainer_total_steps", "Optimizer steps that the job has in all"),
    "loss": Gauge("comd_trainer_loss", "Training loss of the last step"),
    "learning_rate": Gauge("comd_trainer_learning_rate", "Learning rate of the last step"),
    "samples_per_s": Gauge("comd_trainer_samples_per_second", "Records trained on per second"),
    "tokens_per_s": Gauge("comd_trainer_tokens_per_second", "Tokens trained on per second, padding left out"),
    "peak_memory_bytes": Gauge("comd_trainer_peak_memory_bytes", "The most memory the first rank has held"),
    "padding_share": Gauge("comd_trainer_padding_share", "Share of token places that hold nothing"),
}


class Progress:
    """The reader of one job's lines; whole lines only, each once."""

    def __init__(self, job_id: str, path: Path, jobs: Jobs):
        self.job_id, self.path, self.jobs = job_id, path, jobs
        self.offset = 0

    @property
    def metrics(self) -> JsonObject:
        return self.jobs.get(self.job_id).metrics

    def go_on_from(self, step: int) -> None:
        """Forget the lines of later steps, which will be written again, and take those before as read."""
        kept = [line for line in _whole_lines(self.path) if line["kind"] != "trained"] if step else []
        kept = [line for line in kept if line["kind"] != "step" or line["step"] <= step]
        durable.write(self.path, b"".join(orjson.dumps(line) + b"\n" for line in kept))
        self.recall()

    def recall(self) -> None:
        """Take all lines as read: an earlier life of the service has told of them."""
        for line in _whole_lines(self.path):
            line.pop("kind")
            self.jobs.note(self.job_id, line)
        self.offset = self.path.stat().st_size

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
        for name in GAUGES.keys() & line.keys():
            GAUGES[name].set(line[name])
        if kind == "step":
            total = self.metrics.get("total_steps")
            self.jobs.event(
                self.job_id, f"Step {line['step']}/{total}: training loss={line['loss']:.4f}", data=line
            )
        elif kind == "prepared":
            self.jobs.event(
                self.job_id,
                f"{line['records']} records, {line['turns']} turns, {line['tokens']} tokens, "
                f"{line['total_steps']} steps, {line['padding_share']:.1%} padding; "
                f"{line['left_out']} turns beyond the length limit left out",
            )
        else:
            self.jobs.event(self.job_id, f"Trained: mean loss {line['train_loss']:.4f}")


def _whole_lines(path: Path) -> list[JsonObject]:
    """The lines of the file; one torn by a crash is left out."""
    whole = path.read_bytes().rpartition(b"\n")[0] if path.is_file() else b""
    return [orjson.loads(line) for line in whole.splitlines()]

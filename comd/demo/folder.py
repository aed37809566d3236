"""Where a demo keeps its things, and whether an unfinished one can go on.

`world-<seed>`, `captions-<seed>` and `student-<seed>` are kept between demos: the same seed makes the same bytes.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from comd.holding import held

ROOT = Path("runs") / "demo"


@dataclass(frozen=True)
class DemoFolder:
    seed: int
    root: Path = ROOT

    @property
    def home(self) -> Path:
        """The stack's data: database, keys, pictures, checkpoints, logs."""
        return (self.root / "stack").absolute()

    @property
    def world(self) -> Path:
        return (self.root / f"world-{self.seed}").absolute()

    @property
    def captions(self) -> Path:
        """The selection of the world's captions for stage 1, and its report."""
        return (self.root / f"captions-{self.seed}").absolute()

    @property
    def student(self) -> Path:
        return (self.root / f"student-{self.seed}").absolute()

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def _marker(self) -> Path:
        return self.root / "unfinished.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one demo at a time; ConfigError where another one is running here."""
        taken = f"another demo is running in {self.root.absolute()}; wait for it or stop it"
        with held(self.root / "lock", taken):
            yield

    def unfinished_run(self) -> str | None:
        """The id of the run that an earlier demo of this seed did not finish."""
        try:
            left = json.loads(self._marker.read_text())
        except (OSError, ValueError):
            return None
        return str(left["run"]) if left.get("seed") == self.seed else None

    def begin_again(self) -> None:
        """Forget the last demo's run; its world and student are kept."""
        for path in (self.home, self._marker, self.summary, self.report):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def mark_begun(self, run_id: str) -> None:
        self._marker.write_text(json.dumps({"seed": self.seed, "run": run_id}))

    def mark_finished(self) -> None:
        self._marker.unlink(missing_ok=True)

# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""`client.tables`: results as pandas DataFrames and `datasets` objects. It needs the extra `data`."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from comd.client import frames
from comd.client.sync.pools import Instructions, Pool, Pools, Show
from comd.client.sync.runs import Runs
from services.coordinator.api.instruction_shapes import JudgedInstruction
from services.coordinator.api.shapes import Failure

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame


class Tables:
    """ConfigError, with what to install, where pandas or datasets is missing."""

    def __init__(self, runs: Runs, pools: Pools, instructions: Instructions):
        self._runs, self._pools, self._instructions = runs, pools, instructions

    def iterations(self, run_id: str) -> "DataFrame":
        """A row an iteration, indexed by number: counts, `train_loss`, `heldout_accuracy` (0 to 1), `spent`.

        `accuracy_KIND` by kind of question, `seconds_PHASE` by phase; NaN or <NA> where there is none.
        """
        return frames.of_iterations(self._runs.iterations(run_id))

    def instructions(
        self, run_id: str, iteration: int | None = None, show: Show = "hardest", task_type: str | None = None
    ) -> "DataFrame":
        """A row an instruction with both answers, scores (1 to 10) and difficulty (0 to 1); as `instructions.list`."""
        found = [one for one in self._instructions.list(run_id, iteration, show, task_type)]
        return frames.of_models(JudgedInstruction, found)

    def failures(self, run_id: str) -> "DataFrame":
        """A row a failure: iteration, phase, picture, instruction, reason, attempts."""
        found = [one for one in self._runs.failures(run_id)]
        return frames.of_models(Failure, found)

    def pool(self, run_id: str, pool: Pool = "cache", iteration: int | None = None) -> "DataFrame":
        """A row an answered instruction with its provenance, by an export in Parquet; no pictures."""
        return frames.of_parquet(self._parquet(run_id, pool, iteration, images=False))

    def dataset(
        self,
        run_id: str,
        pool: Pool = "cache",
        iteration: int | None = None,
        images: bool = True,
        to: str | Path | None = None,
    ) -> "Dataset":
        """The same as a `datasets.Dataset`; its column `image` holds pictures (`datasets.Image`).

        In memory, or, where `to` names a file, written there in Parquet and read from disk: for large pools.
        """
        if to is None:
            return frames.dataset_of(self._parquet(run_id, pool, iteration, images))
        self._pools.export(run_id, pool, to, "parquet", iteration, images)
        return frames.dataset_of(Path(to))

    def _parquet(self, run_id: str, pool: Pool, iteration: int | None, images: bool) -> BytesIO:
        file = BytesIO()
        self._pools.export(run_id, pool, file, "parquet", iteration, images)
        file.seek(0)
        return file

"""`client.tables`: results as pandas DataFrames and `datasets` objects. It needs the extra `data`."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from comd.client import frames
from comd.client.aio.pools import AsyncInstructions, AsyncPools, Pool, Show
from comd.client.aio.runs import AsyncRuns
from services.coordinator.api.instruction_shapes import JudgedInstruction
from services.coordinator.api.shapes import Failure

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame


class AsyncTables:
    """ConfigError, with what to install, where pandas or datasets is missing."""

    def __init__(self, runs: AsyncRuns, pools: AsyncPools, instructions: AsyncInstructions):
        self._runs, self._pools, self._instructions = runs, pools, instructions

    async def iterations(self, run_id: str) -> "DataFrame":
        """A row an iteration, indexed by number: counts, `train_loss`, `heldout_accuracy` (0 to 1), `spent`.

        `accuracy_KIND` by kind of question, `seconds_PHASE` by phase; NaN or <NA> where there is none.
        """
        return frames.of_iterations(await self._runs.iterations(run_id))

    async def instructions(
        self, run_id: str, iteration: int | None = None, show: Show = "hardest", task_type: str | None = None
    ) -> "DataFrame":
        """A row an instruction with both answers, scores (1 to 10) and difficulty (0 to 1); as `instructions.list`."""
        found = [one async for one in self._instructions.list(run_id, iteration, show, task_type)]
        return frames.of_models(JudgedInstruction, found)

    async def failures(self, run_id: str) -> "DataFrame":
        """A row a failure: iteration, phase, picture, instruction, reason, attempts."""
        found = [one async for one in self._runs.failures(run_id)]
        return frames.of_models(Failure, found)

    async def pool(self, run_id: str, pool: Pool = "cache", iteration: int | None = None) -> "DataFrame":
        """A row an answered instruction with its provenance, by an export in Parquet; no pictures."""
        return frames.of_parquet(await self._parquet(run_id, pool, iteration, images=False))

    async def dataset(
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
            return frames.dataset_of(await self._parquet(run_id, pool, iteration, images))
        await self._pools.export(run_id, pool, to, "parquet", iteration, images)
        return frames.dataset_of(Path(to))

    async def _parquet(self, run_id: str, pool: Pool, iteration: int | None, images: bool) -> BytesIO:
        file = BytesIO()
        await self._pools.export(run_id, pool, file, "parquet", iteration, images)
        file.seek(0)
        return file

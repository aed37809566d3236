"""`client.datasets`: data sets of pictures, questions and answers, read in by the coordinator."""

from pathlib import Path
from typing import Literal

from comd.client.aio.link import AsyncLink
from comd.client.service import at, given
from services.coordinator.api.shapes import Dataset, DatasetList

Purpose = Literal["instruct", "pretrain", "evaluation"]


class AsyncDatasets:
    def __init__(self, link: AsyncLink):
        self._link = link

    async def list(self) -> list[Dataset]:
        """All data sets, the oldest first."""
        found = await self._link.get(DatasetList, at("datasets"))
        return found.data

    async def get(self, name: str) -> Dataset:
        """One data set; its `progress` says how far its import is. NotFound where there is none of the name."""
        return await self._link.get(Dataset, at("datasets", name))

    async def register(
        self, name: str, path: str | Path, images: str | Path | None = None, purpose: Purpose = "instruct"
    ) -> Dataset:
        """Import a LLaVA-style JSON file and its picture folder (default: the file's own).

        Both as the coordinator's machine sees them, below its `COMD_DATA_ROOTS`. It answers when all is read; after a
        lost connection the same call goes on where the import is. Conflict where the name has another content.
        """
        body = given(
            name=name,
            path=str(Path(path).absolute()),
            images=None if images is None else str(Path(images).absolute()),
            purpose=purpose,
        )
        return await self._link.post(Dataset, at("datasets"), body, timeout=None)

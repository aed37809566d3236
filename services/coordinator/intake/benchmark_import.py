"""Registers a benchmark from its official files. In: a kind and a folder. Out: its row with what it holds.

All or nothing: a table over part of the questions could not be compared with anybody's.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson

from services.coordinator.benchmarks.items import Item, Kind
from services.coordinator.benchmarks.reading import read
from services.coordinator.merge import TEXT_ONLY
from shared.errors import ComdError, Unprocessable
from shared.identity import digest
from shared.images import ImageStore
from shared.types import JsonObject

PICTURE_THREADS = 4  # Pillow decodes outside of Python's lock
REFUSALS_TOLD = 5


@dataclass(frozen=True)
class BenchmarkFiles:
    """What is to be read, and under which name it is kept."""

    name: str
    kind: Kind
    folder: Path
    split: str | None


def read_files(files: BenchmarkFiles, store: ImageStore) -> tuple[JsonObject, list[JsonObject]]:
    """The benchmark's row and its questions'; the pictures are in the store then.

    Unprocessable names what is missing, malformed or no readable picture.
    """
    reading = read(files.kind, files.folder, files.split)
    images = _stored(files.name, reading.items, store)
    rows = [
        {"dataset": files.name, "id": place, "name": item.name, "image": image, "content": item.content}
        for place, (item, image) in enumerate(zip(reading.items, images, strict=True), 1)
    ]
    content = hashlib.sha256()
    for row in rows:
        content.update(orjson.dumps({**row, "dataset": ""}, option=orjson.OPT_SORT_KEYS))
    benchmark = {
        "name": files.name,
        "kind": files.kind,
        "split": files.split,
        "path": str(files.folder),
        "notes": list(reading.notes),
        "content_sha256": content.hexdigest(),
        "num_images": len({image for image in images if not image.startswith(TEXT_ONLY)}),
    }
    return benchmark, rows


def _stored(name: str, items: Sequence[Item], store: ImageStore) -> list[str]:
    """Each question's picture by its sha256; a key of its own where it has none."""

    def put(item: Item) -> str | ComdError:
        if item.picture is None:
            return TEXT_ONLY + digest("benchmark", name, item.name)[:32]
        try:
            return store.put(item.picture.read_bytes(), item.picture.name)
        except ComdError as error:
            return error

    with ThreadPoolExecutor(PICTURE_THREADS, "pictures") as threads:
        found = list(threads.map(put, items))
    images = [one for one in found if isinstance(one, str)]
    if len(images) < len(found):
        refused = [f"{item.name}: {one}" for item, one in zip(items, found, strict=True) if one not in images]
        raise Unprocessable(
            f"{len(refused)} of {len(items)} questions have a picture that cannot be used; nothing was registered. "
            + "; ".join(refused[:REFUSALS_TOLD]),
            code="unusable_pictures",
        )
    return images

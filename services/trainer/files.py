"""Uploaded training files. In: bytes. Out: a file id that is a hash of the content, once every line is sound."""

import hashlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import orjson

from services.trainer import durable
from services.trainer.records import parse_line
from shared.errors import NotFound, Unprocessable
from shared.images import ImageStore
from shared.types import IMAGE_SCHEME, JsonObject

FILE_ID = re.compile(r"file-[0-9a-f]{24}")


class Files:
    """The folder of uploaded files: `<id>.jsonl` and `<id>.json`, what OpenAI says about a file."""

    def __init__(self, folder: Path, store: ImageStore, now: Callable[[], int]):
        self.folder, self.store, self.now = folder, store, now
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: BinaryIO, name: str) -> JsonObject:
        """Check every line and keep the file. Unprocessable names the line that is refused."""
        draft = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            digest, size = self._copy_checked(source, draft)
            file_id = f"file-{digest[:24]}"
            if self.path(file_id).is_file() and self._about(file_id).is_file():
                return self.get(file_id)
            durable.flush_file(draft)
            draft.rename(self.path(file_id))
            about = {
                "id": file_id,
                "object": "file",
                "bytes": size,
                "created_at": self.now(),
                "filename": name,
                "purpose": "fine-tune",
                "status": "processed",
            }
            durable.write(self._about(file_id), orjson.dumps(about))
            return about
        finally:
            draft.unlink(missing_ok=True)

    def get(self, file_id: str) -> JsonObject:
        """What is known of a file; NotFound where there is none of that id."""
        if not FILE_ID.fullmatch(file_id) or not self._about(file_id).is_file():
            raise NotFound(f"no file {file_id[:60]!r}; upload it with POST /v1/files")
        about: JsonObject = orjson.loads(self._about(file_id).read_bytes())
        return about

    def all(self) -> list[JsonObject]:
        """All files, the newest first."""
        found = [orjson.loads(path.read_bytes()) for path in self.folder.glob("file-*.json")]
        return sorted(found, key=lambda about: (-about["created_at"], about["id"]))

    def path(self, file_id: str) -> Path:
        return self.folder / f"{file_id}.jsonl"

    def _about(self, file_id: str) -> Path:
        return self.folder / f"{file_id}.json"

    def _copy_checked(self, source: BinaryIO, target: Path) -> tuple[str, int]:
        whole, size, records = hashlib.sha256(), 0, 0
        with target.open("wb") as file:
            for number, line in enumerate(source, 1):
                whole.update(line)
                size += file.write(line)
                if line.strip():
                    self._check(line, number)
                    records += 1
        if not records:
            raise Unprocessable("the file has no lines; expected one JSON object a line")
        return whole.hexdigest(), size

    def _check(self, line: bytes, number: int) -> None:
        image = parse_line(line, number).image
        if image and image.startswith(IMAGE_SCHEME) and not self.store.has(image.removeprefix(IMAGE_SCHEME)):
            raise Unprocessable(
                f"line {number}, messages[0].content: picture {image} is not in the image store "
                f"{self.store.url}; import its data set first",
                code="invalid_training_file",
            )

"""Uploaded training files. In: bytes. Out: a file id that is a hash of the content, once every line is sound."""

import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import orjson

from services.trainer import durable
from services.trainer.uploads import Upload
from shared.errors import NotFound
from shared.images import ImageStore
from shared.types import JsonObject

FILE_ID = re.compile(r"file-[0-9a-f]{24}")


class Files:
    """The folder of uploaded files: `<id>.jsonl` and `<id>.json`, what OpenAI says about a file."""

    def __init__(self, folder: Path, store: ImageStore, now: Callable[[], int]):
        self.folder, self.store, self.now = folder, store, now
        self._keeping = threading.Lock()  # uploads run in threads
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: BinaryIO, name: str) -> JsonObject:
        """Check every record and keep the file as chat lines. Unprocessable names what is refused."""
        draft = self.folder / f".{secrets.token_hex(8)}.part"
        upload = Upload(source, self.store.has)
        try:
            digest, size = _write(upload.lines(), draft)
            durable.flush_file(draft)
            about = {
                "id": f"file-{digest[:24]}",
                "object": "file",
                "bytes": size,
                "created_at": self.now(),
                "filename": name,
                "purpose": "fine-tune",
                "status": "processed",
                "num_records": upload.num_records,
                "num_text_only": upload.num_text_only,
            }
            return self._keep(draft, about)
        finally:
            draft.unlink(missing_ok=True)

    def get(self, file_id: str) -> JsonObject:
        """What is known of a file; NotFound where there is none of that id."""
        if not FILE_ID.fullmatch(file_id) or not self._about(file_id).is_file():
            raise NotFound(f"no file {file_id[:60]!r}; upload it with POST /v1/files", param="file_id")
        about: JsonObject = orjson.loads(self._about(file_id).read_bytes())
        return about

    def all(self) -> list[JsonObject]:
        """All files, the newest first."""
        found = [orjson.loads(path.read_bytes()) for path in self.folder.glob("file-*.json")]
        return sorted(found, key=lambda about: (-about["created_at"], about["id"]))

    def delete(self, file_id: str) -> None:
        """What is known of it goes first: without that, a file does not exist. NotFound as in `get`."""
        with self._keeping:
            self.get(file_id)
            self._about(file_id).unlink()
            durable.flush_folder(self.folder)
            self.path(file_id).unlink(missing_ok=True)

    def path(self, file_id: str) -> Path:
        return self.folder / f"{file_id}.jsonl"

    def _about(self, file_id: str) -> Path:
        return self.folder / f"{file_id}.json"

    def _keep(self, draft: Path, about: JsonObject) -> JsonObject:
        """The file under its name; a second upload of the same content changes nothing."""
        file_id = about["id"]
        with self._keeping:
            if self.path(file_id).is_file() and self._about(file_id).is_file():
                return self.get(file_id)
            draft.rename(self.path(file_id))
            durable.write(self._about(file_id), orjson.dumps(about))
            return about


def _write(lines: Iterable[bytes], target: Path) -> tuple[str, int]:
    """The lines into a file; the sha256 of them all, and their bytes."""
    whole, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        for line in lines:
            whole.update(line)
            size += file.write(line)
    return whole.hexdigest(), size

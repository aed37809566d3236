"""Students that can be trained and served. In: a name. Out: its folder: a base student or a published one."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from services.trainer import durable
from shared.errors import NotFound
from shared.types import JsonObject

MARKER = "comd.json"  # written last: a folder without it does not exist


class Checkpoints:
    """Base students by their configured names, and published checkpoints: folders with a marker file."""

    def __init__(self, folder: Path, bases: dict[str, Path]):
        self.folder, self.bases = folder, bases
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """The folder of a student; NotFound says what is missing, or lists what there is."""
        if name in self.bases:
            return _base(name, self.bases[name])
        folder = self.folder / name
        if not name.startswith("ckpt-") or "/" in name or not (folder / MARKER).is_file():
            there = ", ".join([*self.bases, *(about["id"] for about in self.published()[:5])]) or "none"
            raise NotFound(f"no student {name[:80]!r}; there are: {there}", code="model_not_found")
        return folder

    def published(self) -> list[JsonObject]:
        """The markers of all published checkpoints, the newest first."""
        found = [orjson.loads(path.read_bytes()) for path in self.folder.glob(f"ckpt-*/{MARKER}")]
        return sorted(found, key=lambda about: (-about.get("created_at", 0), about["id"]))

    def lineage(self, name: str) -> list[str]:
        """A student and its ancestors, the base student last."""
        found = [name]
        while (marker := self.folder / found[-1] / MARKER).is_file():
            found.append(orjson.loads(marker.read_bytes())["model"])
        return found

    def forget(self, name: str) -> Callable[[], None]:
        """A published checkpoint is no longer there at once; what is given removes its files, which takes time."""
        gone = self.folder / f".{name}.{secrets.token_hex(4)}.deleted"
        self.path(name).rename(gone)
        durable.flush_folder(self.folder)
        return lambda: shutil.rmtree(gone, ignore_errors=True)

    def models(self, loaded: str | None) -> list[JsonObject]:
        """Everything that a job or a chat may name as its model."""
        bases = [(name, 0, str(folder)) for name, folder in self.bases.items()]
        published = [(a["id"], a.get("created_at", 0), str(self.folder / a["id"])) for a in self.published()]
        return [
            {
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "comd",
                "root": root,
                "loaded": name == loaded,
            }
            for name, created, root in bases + published
        ]


def _base(name: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise NotFound(
            f"base student {name!r}: expected a saved model in {folder}, but there is no config.json; "
            "put it there, or correct the trainer's setting base_students",
            code="model_not_found",
        )
    return folder

"""Finds and decodes a benchmark's files. In: a folder, names. Out: JSON values and paths of pictures; what is
missing or malformed becomes a finding. Pictures are decoded where they are stored (shared/images.py), not here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from services.coordinator.benchmarks.faults import Faults
from shared.types import JsonObject

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LFS_POINTER = b"version https://git-lfs"


def json_object(folder: Path, name: str, faults: Faults) -> JsonObject:
    """The file's JSON object; empty, with a finding, where there is none."""
    _, data = _content(folder, [name], faults)
    value = _decoded(name, data, faults) if data else {}
    if value is not None and not isinstance(value, dict):
        faults.add(f"{name}: expected a JSON object, got {type(value).__name__}")
    return value if isinstance(value, dict) else {}


def json_lines(folder: Path, names: Sequence[str], faults: Faults) -> list[tuple[str, Any]]:
    """Each line's value with the name of its place, from the first of the names that is there."""
    name, data = _content(folder, names, faults)
    lines = [
        (f"{name} line {number}", line) for number, line in enumerate(data.splitlines(), 1) if line.strip()
    ]
    return [(place, value) for place, line in lines if (value := _decoded(place, line, faults)) is not None]


def picture_folder(folder: Path, names: Sequence[str], faults: Faults) -> Path:
    """The first of the names that is a folder; a finding where none is."""
    there = next((folder / name for name in names if (folder / name).is_dir()), None)
    if there is None:
        faults.add(f"no folder {' or '.join(names)}")
    return there or folder / names[0]


def picture(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first picture that is there. A name that leaves its folder is none."""
    inside = [name for name in names if _stays_inside(name)]
    paths = (folder / name for folder in folders for name in inside)
    return next((path for path in paths if path.is_file()), None)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and "\0" not in name and not path.is_absolute() and ".." not in path.parts


def _content(folder: Path, names: Sequence[str], faults: Faults) -> tuple[str, bytes]:
    """Name and bytes of the first file that is there; nothing, with a finding, where none is."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        faults.add(f"no file {' or '.join(names)}")
        return names[0], b""
    data = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    if not data.strip():
        faults.add(f"{path.name} is empty")
    elif data.startswith(LFS_POINTER):
        faults.add(f"{path.name} is a pointer of Git LFS; fetch the file itself with git lfs pull")
        return path.name, b""
    return path.name, data.strip()


def _decoded(place: str, data: bytes, faults: Faults) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        faults.add(f"{place}: not JSON: {error}")
        return None

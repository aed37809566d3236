"""Where an export goes. In: a path or an open file. Out: a file to write to that takes its name when it is whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Exported:
    """What was written, as the coordinator counted it."""

    iteration: int
    num_answered: int
    num_unanswered: int  # left out

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Exported":
        return cls(*(int(headers[f"x-comd-{name}"]) for name in ("iteration", "answered", "unanswered")))


@contextmanager
def drafted(to: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """Whoever finds the path finds all of it; where writing fails nothing is left."""
    if not isinstance(to, str | Path):
        yield to
        return
    path = Path(to)
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

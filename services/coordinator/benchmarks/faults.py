"""Gathers what is missing or malformed in a benchmark's folder. In: findings. Out: one Unprocessable that names
them: the first few, and how many there are.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import Unprocessable, told

NAMED = 5

AnyRecord = TypeVar("AnyRecord", bound="FileRecord")


class FileRecord(BaseModel):
    """Base of the published files' records: types are exact, further fields are let be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Faults:
    """The findings of one reading, in the order of the files."""

    def __init__(self, folder: Path, published: str):
        self.folder = folder
        self.published = published
        self._found: list[str] = []

    def add(self, finding: str) -> None:
        self._found.append(finding)

    def record(self, form: type[AnyRecord], value: Any, name: str) -> AnyRecord | None:
        """The value as a record of that form; None, with a finding for each bad field, where it is none."""
        try:
            return form.model_validate(value)
        except ValidationError as error:
            for fault in error.errors():
                place = ".".join(str(part) for part in fault["loc"])
                got = "" if fault["type"] in {"missing", "value_error"} else f", got {told(fault['input'])}"
                said = fault["msg"].removeprefix("Value error, ")
                self.add(f"{name}: {place + ': ' if place else ''}{said}{got}")
            return None

    def needed(self, form: type[AnyRecord], value: Any, name: str) -> AnyRecord:
        """The same, where nothing can be read without it: raises with what was found so far."""
        record = self.record(form, value, name)
        self.stop()
        assert record is not None
        return record

    def repeated(self, keys: Iterable[str], what: str) -> None:
        """A finding for each key that is there more than once."""
        for key, times in Counter(keys).items():
            if times > 1:
                self.add(f"{what} {key} is there {times} times")

    def stop(self) -> None:
        """Raise Unprocessable where anything was found."""
        if not self._found:
            return
        first = "; ".join(self._found[:NAMED])
        rest = len(self._found) - NAMED
        more = f"; and {rest} more ({len(self._found)} in all)" if rest > 0 else ""
        raise Unprocessable(f"{self.folder}: {first}{more}. The data are published at {self.published}")

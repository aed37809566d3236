"""An uploaded training file, checked record by record. In: bytes in OpenAI's chat format or LLaVA's. Out: lines
in the chat format alone, and counts; or one refusal that names the first faults of the whole file.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from services.trainer import llava
from services.trainer.chat import Record, decode, read_record
from services.trainer.json_stream import BLANK, Raw, cut
from services.trainer.message import Fault
from shared.errors import ComdError, Unprocessable, told
from shared.images import data_url_bytes
from shared.types import IMAGE_SCHEME

FAULTS_SHOWN = 20


@dataclass
class Upload:
    """One pass over one upload; `lines` runs it, the rest is what was found."""

    source: BinaryIO
    has_picture: Callable[[str], bool]  # by sha256, in the image store
    num_records: int = 0
    num_text_only: int = 0
    num_faults: int = 0
    faults: list[str] = field(default_factory=list)
    _what: str = "line"

    def lines(self) -> Iterator[bytes]:
        """The lines to keep; a record with a fault gives none. Unprocessable at the end, where there were any."""
        found = cut(self.source)
        self._what = found.what
        for raw in found.records:
            if found.what == "line" and raw.fault is None and not raw.data.strip(BLANK):
                yield raw.data  # so that the lines behind it keep their numbers
            elif line := self._line(raw):
                yield line
        if self.num_faults:
            raise Unprocessable(self._said(), code="invalid_training_file", param="file")
        if not self.num_records:
            raise Unprocessable(
                "the file holds no records; expected one JSON object a line, or an array of them",
                code="invalid_training_file",
                param="file",
            )

    def _line(self, raw: Raw) -> bytes | None:
        faults: list[Fault] = []
        line = self._checked(raw, faults)
        self.num_faults += len(faults)
        room = FAULTS_SHOWN - len(self.faults)
        self.faults += [fault.at(f"{self._what} {raw.number}") for fault in faults[:room]]
        return line

    def _checked(self, raw: Raw, faults: list[Fault]) -> bytes | None:
        """The record as a line of the chat format; None where it has a fault."""
        if raw.fault is not None:
            faults.append(Fault("", raw.fault))
            return None
        body = decode(raw.data, faults)
        if not faults:
            _check_keys(raw.data, faults)
        if faults:
            return None
        foreign = llava.is_llava(body)
        read = self._from_llava if foreign else self._from_chat
        record, chat = read(body, raw.number, faults)
        if record is not None and record.image is not None:
            where = "image" if foreign else f"messages[{int(record.system is not None)}].content"
            self._check_picture(record.image, where, faults)
        if faults or record is None:
            return None
        self.num_records += 1
        self.num_text_only += record.image is None
        if foreign or self._what == "item":
            return orjson.dumps(chat, option=orjson.OPT_APPEND_NEWLINE)
        return raw.data

    def _from_chat(self, body: Any, number: int, faults: list[Fault]) -> tuple[Record | None, Any]:
        return read_record(body, number, faults), body

    def _from_llava(self, body: Any, number: int, faults: list[Fault]) -> tuple[Record | None, Any]:
        if (chat := llava.to_chat(body, faults)) is None:
            return None, None
        in_chat: list[Fault] = []
        record = read_record(chat, number, in_chat)
        faults += [llava.renamed(fault) for fault in in_chat]
        return record, chat

    def _check_picture(self, url: str, where: str, faults: list[Fault]) -> None:
        if url.startswith(IMAGE_SCHEME):
            if not self.has_picture(url.removeprefix(IMAGE_SCHEME)):
                faults.append(
                    Fault(where, f"picture {url} is not in the image store; import its data set first")
                )
            return
        try:
            data_url_bytes(url)
        except ComdError as error:
            faults.append(Fault(where, error.message))

    def _said(self) -> str:
        if self.num_faults == 1:
            return self.faults[0]
        more = f", the first {len(self.faults)}" if self.num_faults > len(self.faults) else ""
        return "\n".join([f"{self.num_faults} faults{more}:", *self.faults])


def _check_keys(data: bytes, faults: list[Fault]) -> None:
    """A key that stands twice in an object: JSON lets one of the values win in silence."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            faults.append(Fault("", f"the key {told(twice)} stands twice in one object"))
        return made

    try:
        json.loads(data, object_pairs_hook=once)
    except RecursionError:
        faults.append(Fault("", "is nested too deeply"))

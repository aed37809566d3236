"""Reads caption sets and finds their noun phrases, by several processes. In: files, a work folder and a spaCy
pipeline. Out: the folder's `captions/` and `refused/`, in parts that appear whole; a second call goes on where the
first was killed. What a part holds depends on the input alone, not on how many processes there were.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from services.trainer.captions import parts, phrases
from services.trainer.captions.crew import Crew
from services.trainer.captions.reading import Caption, Located, Refused, located_captions
from services.trainer.durable import write
from shared.errors import ComdError, ConfigError
from shared.types import JsonObject

PART_ROWS = (
    10_000  # a second or two of work: little is lost by a kill, and a process is seldom left without work
)
FORM = 1  # raised where equal input would give other parts than before


def extract(
    files: Sequence[Path],
    work: Path,
    *,
    pipeline: str,
    processes: int,
    images: Path | None,
    progress: Callable[[int], None],
) -> None:
    """Fill the work folder; `progress` is told how many rows of the input are done, those of earlier calls included.

    Raises ConfigError where the folder holds another input's or pipeline's parts. Where a file breaks off, the
    parts before it are finished first.
    """
    rows = located_captions(files)
    _begin(work, _identity(files, pipeline, images))
    first_row = 0
    with Crew(processes, progress) as crew:
        try:
            for number, part in enumerate(_parts(rows)):
                if parts.exists(work, number):
                    crew.count(len(part))
                else:
                    crew.give(extract_part, work, number, first_row, part, pipeline, images)
                first_row += len(part)
        except ComdError:
            crew.finish()
            raise
        crew.finish()


def extract_part(
    work: Path, number: int, first_row: int, rows: list[Located], pipeline: str, images: Path | None
) -> int:
    """In a process of the crew: write the part; how many rows it has."""
    found = [_with_image(images, *located) for located in rows]
    captions = {row: one for row, one in enumerate(found, first_row) if isinstance(one, Caption)}
    refused = [one for one in found if isinstance(one, Refused)]
    spoken = phrases.noun_phrases(phrases.load(pipeline), [one.text for one in captions.values()])
    parts.write_part(work, number, captions, spoken, refused)
    return len(rows)


def _with_image(
    images: Path | None, source: str, position: int, read: Caption | Refused
) -> Caption | Refused:
    if images is None or isinstance(read, Refused) or os.path.isfile(images / read.image):
        return read
    return Refused(source, position, read.id, "image is missing")


def _identity(files: Sequence[Path], pipeline: str, images: Path | None) -> JsonObject:
    """What the parts depend on. A file is known by its name, size and time: to read it all would take as long again."""
    stats = [(file.resolve(), file.stat()) for file in files]
    listed = [
        {"file": str(file), "bytes": stat.st_size, "written_ns": stat.st_mtime_ns} for file, stat in stats
    ]
    folder = str(images.resolve()) if images else None
    return {"form": FORM, "files": listed, "images": folder, "pipeline": phrases.identity(pipeline)}


def _begin(work: Path, identity: JsonObject) -> None:
    """Make the folder, or see that it is this input's; drafts that a killed process left are removed."""
    for folder in parts.folders(work):
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(".*.part"):
            draft.unlink(missing_ok=True)
    about = work / "input.json"
    if not about.exists():
        write(about, json.dumps(identity, indent=1).encode())
        return
    found = json.loads(about.read_text())
    changed = [name for name in identity if found.get(name) != identity[name]]
    if changed:
        raise ConfigError(
            f"{work} holds the phrases of another input: {' and '.join(changed)} changed since (see its input.json); "
            "give another work folder, or delete this one to begin anew"
        )


def _parts(rows: Iterator[Located]) -> Iterator[list[Located]]:
    while part := list(islice(rows, PART_ROWS)):
        yield part

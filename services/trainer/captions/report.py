"""What a selection did, as plain numbers. In: the work folder and what was chosen. Out: one JSON object.

Everything is read in batches; what grows is one count for each distinct frequency.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.trainer.captions.output import ROWS_AT_ONCE, SELECTED, rows
from shared.types import JsonObject

PHRASES_SHOWN = 20
EXAMPLES_OF_A_SIZE = 3
REFUSALS_SHOWN = 10
CURVES = {"before": "frequency", "after": "selected"}
PHRASE = ["phrase", "frequency", "selected"]
APART = 10 ** (1 / 12)  # between two points of the curve

Curve = list[tuple[int, int]]  # (rank of a phrase, its frequency), the most frequent first


def facts(work: Path, chosen: Mapping[str, int], settings: Mapping[str, str | int]) -> JsonObject:
    """The report of the selection in `work`; `chosen` are its counts, `settings` what it was made with."""
    refused = _refused(work / "refused")
    phrases = work / "phrases.parquet"
    return {
        "pairs_read": chosen["pairs_in"] + sum(refused.values()),
        **chosen,
        "refused": sum(refused.values()),
        "refused_by_reason": dict(refused.most_common()),
        "refusals": list(islice(_refusals(work / "refused"), REFUSALS_SHOWN)),
        "duplicate_ids": _duplicates(work / "duplicates.parquet"),
        "settings": dict(settings),
        "curve": {name: curve(_histogram(phrases, column)) for name, column in CURVES.items()},
        "rarest": _rarest(phrases, int(settings["min_frequency"])),
        "commonest": _commonest(phrases),
        "examples": _examples(work / SELECTED),
    }


def curve(histogram: Mapping[int, int]) -> Curve:
    """Frequency by rank, from how many phrases have each frequency: about twelve points a decade of either.

    Each run of equal frequencies gives the rank at which it begins and the one at which it ends.
    """
    corners, rank = Curve(), 0
    for frequency in sorted((one for one in histogram if one > 0), reverse=True):
        corners += dict.fromkeys([(rank + 1, frequency), (rank + histogram[frequency], frequency)])
        rank += histogram[frequency]
    kept = corners[:1]
    for corner in corners[1:]:
        is_far = corner[0] >= kept[-1][0] * APART or kept[-1][1] >= corner[1] * APART
        if is_far or corner == corners[-1]:
            kept.append(corner)
    return kept


def _histogram(phrases: Path, column: str) -> Counter[int]:
    found = Counter[int]()
    with pq.ParquetFile(phrases) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE * 16, columns=[column]):
            for entry in pc.value_counts(batch.column(0)):
                found[entry["values"].as_py()] += entry["counts"].as_py()
    return found


def _rarest(phrases: Path, min_frequency: int) -> list[JsonObject]:
    """The first that were not skipped; the file is ordered by frequency."""
    kept = (row for row in rows(phrases, PHRASE) if row["frequency"] >= min_frequency)
    return list(islice(kept, PHRASES_SHOWN))


def _commonest(phrases: Path) -> list[JsonObject]:
    return list(deque(rows(phrases, PHRASE), maxlen=PHRASES_SHOWN))[::-1]


def _examples(selected: Path) -> list[JsonObject]:
    """A few pairs for every power of ten of the frequency of the phrase that chose them, the rarest first."""
    found: dict[int, list[JsonObject]] = {}
    for row in rows(selected, ["id", "image", "text", "phrase", "frequency"]):
        same = found.setdefault(len(str(row["frequency"])), [])
        if len(same) < EXAMPLES_OF_A_SIZE and row["phrase"] not in {one["phrase"] for one in same}:
            same.append(row)
    return [row for size in sorted(found) for row in found[size]]


def _duplicates(file: Path) -> list[JsonObject]:
    return list(islice(rows(file, ["id", "row"]), REFUSALS_SHOWN))


def _refused(folder: Path) -> Counter[str]:
    return Counter(
        row["reason"] for part in sorted(folder.glob("*.parquet")) for row in rows(part, ["reason"])
    )


def _refusals(folder: Path) -> Iterator[JsonObject]:
    for part in sorted(folder.glob("*.parquet")):
        yield from rows(part, ["source", "position", "id", "reason"])

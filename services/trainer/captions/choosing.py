"""The balanced selection out of core: parts with phrases in, the chosen captions and all phrases as Parquet out.

DuckDB does what `select_captions` does, on disk where it does not fit into `memory_mib`. How often each phrase comes is
kept beside the parts, so that another cap or seed does not count again.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from services.trainer import durable
from shared.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Of memory_mib, what DuckDB may hold: the rest is for the interpreter and for what DuckDB does not count
DUCKDB_SHARE = 0.75
LEAST_MEMORY_MIB = 512

VIEWS = """
CREATE VIEW captions AS SELECT * FROM parts ANTI JOIN counted.duplicates USING (row);
CREATE VIEW mentions AS SELECT unnest(phrases) AS phrase, id, row FROM captions;
"""
DUPLICATES = """
CREATE TABLE counted.duplicates AS
SELECT id, row FROM parts
JOIN (SELECT id, min(row) AS first FROM parts GROUP BY id HAVING count(*) > 1) USING (id)
WHERE row > first ORDER BY row
"""
# place: the phrase's number from the rarest up, which is a smaller thing to sort and to join by than the phrase
PHRASES = """
CREATE TABLE counted.phrases AS
SELECT row_number() OVER (ORDER BY frequency, phrase) AS place, phrase, frequency
FROM (SELECT phrase, count(*) AS frequency FROM mentions GROUP BY phrase)
"""
RARE = """
CREATE TABLE picked AS
SELECT row, place FROM mentions JOIN counted.phrases USING (phrase) WHERE frequency BETWEEN $min_frequency AND $cap
"""
# Phrases above the cap for which nothing is drawn yet. Hashes are spread evenly: below `bound` lie about `room` of them
OFTEN = """
CREATE OR REPLACE TABLE often AS
SELECT place, phrase, CASE WHEN frequency > $room
    THEN lpad(lower(hex(CAST($room * 4294967296 // frequency AS BIGINT))), 8, '0') ELSE 'g' END AS bound
FROM counted.phrases ANTI JOIN picked USING (place)
WHERE frequency > $cap AND frequency >= $min_frequency
"""
NEAR = """
CREATE OR REPLACE TABLE near AS
SELECT row, place, rank FROM (
    SELECT row, place, bound, sha256(concat($seed, '|', phrase, '|', id)) AS rank
    FROM mentions JOIN often USING (phrase)
) WHERE rank < bound
"""
DRAWN = """
INSERT INTO picked
SELECT row, place FROM near
QUALIFY row_number() OVER (PARTITION BY place ORDER BY rank) <= $cap AND count(*) OVER (PARTITION BY place) >= $cap
"""
CHOSEN = "CREATE TABLE chosen AS SELECT row, min(place) AS place FROM picked GROUP BY row"
SELECTED = """
SELECT id, image, text, row, phrase, frequency
FROM captions JOIN chosen USING (row) JOIN counted.phrases USING (place) ORDER BY row
"""
WITH_SELECTED = """
SELECT phrase, frequency, coalesce(selected, 0) AS selected
FROM counted.phrases
LEFT JOIN (SELECT phrase, count(*) AS selected FROM mentions SEMI JOIN chosen USING (row) GROUP BY phrase)
USING (phrase) ORDER BY place
"""
COUNTS = """
SELECT (SELECT count(*) FROM parts), (SELECT count(*) FROM counted.duplicates), (SELECT count(*) FROM chosen),
    (SELECT count(*) FROM counted.phrases), (SELECT count(*) FROM counted.phrases WHERE frequency >= $min_frequency)
"""


class Chosen(NamedTuple):
    """How many pairs of picture and caption there were, of them with an id seen before, chosen; and phrases."""

    pairs_in: int
    duplicates: int
    pairs_out: int
    phrases: int
    phrases_kept: int


def choose(work: Path, *, min_frequency: int, cap: int, seed: int, memory_mib: int) -> Chosen:
    """Write `duplicates.parquet`, `phrases.parquet` and, last, `selected.parquet` into the work folder.

    Of captions with equal ids the one with the lowest row counts. The process stays within `memory_mib`; what does
    not fit lies in `work/spill` until the end.
    """
    refuse_cap(cap)
    parts = parts_of(work)
    counted = _counted(work, parts, memory_mib)
    with connected(work, parts, memory_mib) as database:
        database.execute(f"ATTACH {_quoted(counted)} AS counted (READ_ONLY)")
        database.execute(VIEWS)
        database.execute(RARE, {"min_frequency": min_frequency, "cap": cap})
        draw(database, min_frequency, cap, seed, room=2 * cap + 50)
        database.execute(CHOSEN)
        write_whole(database, work / "duplicates.parquet", "FROM counted.duplicates ORDER BY row")
        write_whole(database, work / "phrases.parquet", WITH_SELECTED)
        write_whole(database, work / "selected.parquet", SELECTED)
        (counts,) = database.execute(COUNTS, {"min_frequency": min_frequency}).fetchall()
    return Chosen(*counts)


def draw(database: "DuckDBPyConnection", min_frequency: int, cap: int, seed: int, room: int) -> None:
    """Pick the `cap` lowest hashes of each phrase above the cap, by sorting only about `room` of them.

    Sorted whole, the mentions of ten million captions did not fit into 2 GiB. Where fewer than `cap` lie below the
    bound, which for twice the cap is all but impossible, that phrase is drawn for again with more room.
    """
    while True:
        database.execute(OFTEN, {"min_frequency": min_frequency, "cap": cap, "room": room})
        if not database.execute("FROM often LIMIT 1").fetchall():
            return
        database.execute(NEAR, {"seed": str(seed)})
        database.execute(DRAWN, {"cap": cap})
        room *= 8


def refuse_cap(cap: int) -> None:
    if cap < 1:
        raise ConfigError(f"expected a cap of at least 1 caption for a phrase, got {cap}")


def parts_of(work: Path) -> list[Path]:
    """The captions with their phrases, as the extraction left them."""
    parts = sorted((work / "captions").glob("*.parquet"))
    if not parts:
        raise ConfigError(
            f"expected parts of captions in {work / 'captions'}, found none: extract phrases first"
        )
    return parts


def write_whole(database: "DuckDBPyConnection", path: Path, query: str) -> None:
    """A query's rows as a Parquet file that is whole or not there."""
    draft = path.with_name(f".{path.name}.part")
    database.execute(f"COPY ({query}) TO {_quoted(draft)} (FORMAT parquet, COMPRESSION zstd)")
    durable.flush_file(draft)
    draft.rename(path)
    durable.flush_folder(path.parent)


def _counted(work: Path, parts: list[Path], memory_mib: int) -> Path:
    """The file that holds duplicates and frequencies, made anew where the parts are others than those it is of."""
    path = work / f"counted-{_identity(parts)}.duckdb"
    if path.exists():
        return path
    for stale in [*work.glob("counted-*.duckdb"), *work.glob(".counted.*")]:
        stale.unlink()
    draft = work / ".counted.part"
    with connected(work, parts, memory_mib) as database:
        database.execute(f"ATTACH {_quoted(draft)} AS counted")
        for statement in (DUPLICATES, VIEWS, PHRASES, "DETACH counted"):
            database.execute(statement)
    durable.flush_file(draft)
    draft.rename(path)
    durable.flush_folder(work)
    return path


def _identity(parts: list[Path]) -> str:
    facts = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in parts]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@contextmanager
def connected(work: Path, parts: list[Path], memory_mib: int) -> Iterator["DuckDBPyConnection"]:
    """A database in memory that spills into the work folder and has the parts as a view."""
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError("choosing captions needs DuckDB: pip install 'comd[captions]'") from error
    if memory_mib < LEAST_MEMORY_MIB:
        raise ConfigError(f"expected at least {LEAST_MEMORY_MIB} MiB for choosing captions, got {memory_mib}")
    spill = work / "spill"
    shutil.rmtree(spill, ignore_errors=True)  # of a process that was killed
    config = {"memory_limit": f"{int(memory_mib * DUCKDB_SHARE)}MiB", "temp_directory": str(spill)}
    try:
        with duckdb.connect(config={**config, "preserve_insertion_order": False}) as database:
            database.read_parquet([str(part) for part in parts]).create_view("parts")
            yield database
    except duckdb.OutOfMemoryException as error:
        raise ConfigError(
            f"choosing captions needs more than {memory_mib} MiB or more disk: {error}"
        ) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"

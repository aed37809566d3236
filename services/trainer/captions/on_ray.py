"""The balanced selection on a Ray cluster: the same parts in and, pair for pair, the same files out as `choosing`.

Ray Data brings all rows of one id, phrase or caption together in a block; what is done there is a query. The work
folder must be one that every machine of the cluster sees, and `comd` must be installed on them.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.trainer.captions import choosing
from services.trainer.captions.choosing import Chosen
from shared.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

BLOCK_BYTES = 32 * 2**20  # of compressed parts, for one block of a shuffle: about 500,000 captions
BLOCK_MEMORY = "1GiB"  # of one query on a block; what does not fit is spilled

MARKED = "SELECT id, row, phrases, row = min(row) OVER (PARTITION BY id) AS first FROM block"
DUPLICATES = "SELECT id, row FROM block WHERE NOT first"
# A phrase may be in a good part of all captions. No block sends on more than `cap` mentions of it: a caption that is
# not among its block's lowest is not among the lowest of all. The last one sent stands for those left behind.
THINNED = """
WITH mentions AS (SELECT unnest(phrases) AS phrase, id, row FROM block WHERE first),
counted AS (SELECT phrase, id, row, count(*) OVER (PARTITION BY phrase) AS here FROM mentions),
ranked AS (
    SELECT phrase, id, row, here, row_number() OVER (
        PARTITION BY phrase ORDER BY CASE WHEN here > $cap THEN sha256(concat($seed, '|', phrase, '|', id)) END
    ) AS place FROM counted
)
SELECT phrase, id, row, CASE WHEN place = $cap THEN here - place + 1 ELSE 1 END AS captions
FROM ranked WHERE place <= $cap
"""
# One row of each phrase is its head, also where no caption is picked for it
PICKED = """
WITH counted AS (
    SELECT phrase, id, row, CAST(sum(captions) OVER (PARTITION BY phrase) AS BIGINT) AS frequency FROM block
),
ranked AS (
    SELECT phrase, row, frequency, row_number() OVER (
        PARTITION BY phrase ORDER BY CASE WHEN frequency > $cap THEN sha256(concat($seed, '|', phrase, '|', id)) END
    ) AS place FROM counted
)
SELECT phrase, frequency, row, frequency >= $min_frequency AND place <= $cap AS picked, place = 1 AS head
FROM ranked WHERE place = 1 OR picked
"""
REASONS = """
SELECT row, NULL::VARCHAR AS id, NULL::VARCHAR AS image, NULL::VARCHAR AS text, NULL::VARCHAR[] AS phrases,
    phrase, frequency
FROM block WHERE picked
"""
CAPTIONS = (
    "SELECT row, id, image, text, phrases, NULL::VARCHAR AS phrase, NULL::BIGINT AS frequency FROM block"
)
SELECTED = """
WITH reasons AS (
    SELECT row, min({'frequency': frequency, 'phrase': phrase}) AS rarest
    FROM block WHERE phrase IS NOT NULL GROUP BY row
)
SELECT id, image, text, row, rarest.phrase AS phrase, rarest.frequency AS frequency, phrases
FROM (SELECT id, image, text, row, phrases FROM block WHERE phrase IS NULL) JOIN reasons USING (row)
"""
HEADS = "SELECT phrase, frequency, 0::BIGINT AS selected FROM block WHERE head"
WITHIN = """
SELECT phrase, 0::BIGINT AS frequency, count(*) AS selected
FROM (SELECT unnest(phrases) AS phrase FROM block) GROUP BY phrase
"""
SUMMED = """
SELECT phrase, CAST(sum(frequency) AS BIGINT) AS frequency, CAST(sum(selected) AS BIGINT) AS selected
FROM block GROUP BY phrase
"""
COUNTS = """
SELECT (SELECT count(*) FROM parts), (SELECT count(*) FROM duplicates), (SELECT count(*) FROM selected),
    (SELECT count(*) FROM phrases), (SELECT count(*) FROM phrases WHERE frequency >= $min_frequency)
"""

# what is written, in which order, and with which columns
FILES = {
    "duplicates": ("row", "id VARCHAR, row BIGINT"),
    "phrases": ("frequency, phrase", "phrase VARCHAR, frequency BIGINT, selected BIGINT"),
    "selected": (
        "row",
        "id VARCHAR, image VARCHAR, text VARCHAR, row BIGINT, phrase VARCHAR, frequency BIGINT",
    ),
}


def choose(work: Path, *, min_frequency: int, cap: int, seed: int, memory_mib: int, address: str) -> Chosen:
    """As `choosing.choose`, on the cluster at `address`; "local" starts one on this machine."""
    parts = choosing.parts_of(work)
    choosing.refuse_cap(cap)
    found = work / "on-ray"  # what the cluster writes, in many files and any order
    shutil.rmtree(found, ignore_errors=True)
    given = {"min_frequency": min_frequency, "cap": cap, "seed": str(seed)}
    try:
        with _cluster(address, memory_mib):
            _find(parts, found, given)
        return _in_order(work, parts, found, min_frequency, memory_mib)
    finally:
        shutil.rmtree(found, ignore_errors=True)


def _find(parts: list[Path], found: Path, given: dict[str, Any]) -> None:
    """Duplicates, chosen captions and phrases, as folders of Parquet files."""
    num_blocks = _num_blocks(parts)
    pairs = _read(parts, ["id", "row", "phrases"])
    marked = _on_blocks(pairs.repartition(num_blocks, keys=["id"]), MARKED).materialize()
    _on_blocks(marked, DUPLICATES).write_parquet(str(found / "duplicates"))

    thinned = _on_blocks(marked, THINNED, given).repartition(num_blocks, keys=["phrase"])
    picked = _on_blocks(thinned, PICKED, given).materialize()

    captions = _on_blocks(_read(parts, ["id", "image", "text", "phrases", "row"]), CAPTIONS)
    by_row = captions.union(_on_blocks(picked, REASONS)).repartition(num_blocks, keys=["row"])
    selected = _on_blocks(by_row, SELECTED).materialize()
    selected.drop_columns(["phrases"]).write_parquet(str(found / "selected"))

    counts = _on_blocks(picked, HEADS).union(_on_blocks(selected, WITHIN))
    summed = _on_blocks(counts.repartition(num_blocks, keys=["phrase"]), SUMMED)
    summed.write_parquet(str(found / "phrases"))


def _in_order(work: Path, parts: list[Path], found: Path, min_frequency: int, memory_mib: int) -> Chosen:
    """The three files from what the cluster found, and their counts."""
    with choosing.connected(work, parts, memory_mib) as database:
        for name, (order, columns) in FILES.items():
            if files := sorted(str(file) for file in (found / name).glob("*.parquet")):
                database.read_parquet(files).create_view(name)
            else:  # Ray writes no file where there are no rows
                database.execute(f"CREATE TABLE {name} ({columns})")
            choosing.write_whole(database, work / f"{name}.parquet", f"FROM {name} ORDER BY {order}")
        (counts,) = database.execute(COUNTS, {"min_frequency": min_frequency}).fetchall()
    return Chosen(*counts)


def _read(parts: list[Path], columns: list[str]) -> "Dataset":
    from ray.data import read_parquet

    return read_parquet([str(part) for part in parts]).select_columns(columns)


def _on_blocks(rows: "Dataset", query: str, given: dict[str, Any] | None = None) -> "Dataset":
    """The query's answer to each block, whole: after a shuffle by a key no block is split, however large."""
    answered = partial(_answered, query=query, given=given)
    return rows.map_batches(answered, batch_size=None, batch_format="pyarrow")


def _answered(block: "pa.Table", query: str, given: dict[str, Any] | None) -> "pa.Table":
    import duckdb

    named = {name: value for name, value in (given or {}).items() if f"${name}" in query}
    spill = Path(tempfile.gettempdir()) / f"comd-captions-{os.getpid()}"
    config: dict[str, Any] = {"threads": 1, "memory_limit": BLOCK_MEMORY, "temp_directory": str(spill)}
    with duckdb.connect(config=config) as database:
        database.register("block", block)
        return database.execute(query, named).to_arrow_table()


def _num_blocks(parts: list[Path]) -> int:
    import ray

    num_bytes = sum(part.stat().st_size for part in parts)
    num_cores = int(ray.cluster_resources()["CPU"])
    return max(num_cores, -(-num_bytes // BLOCK_BYTES))


@contextmanager
def _cluster(address: str, memory_mib: int) -> Iterator[None]:
    """Ray without telemetry, dashboard and bars; on this machine alone half of the memory is for its objects."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise ConfigError("choosing captions on a cluster needs Ray: pip install 'comd[ray]'") from error
    own: dict[str, Any] = {}
    if address == "local":
        own = {"object_store_memory": memory_mib * 2**20 // 2, "include_dashboard": False}
        own["num_cpus"] = max(4, os.cpu_count() or 1)  # with two, shuffles may wait for each other
        # Ray ends processes that idle for a second, and new ones take seconds to start
        os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **own)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # once it is imported, which sets it
        yield
    finally:
        ray.shutdown()

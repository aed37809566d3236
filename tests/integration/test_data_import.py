"""Import: in batches, never twice, never lost; one that was stopped goes on, and no run uses half of a data set."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.database import connect
from services.coordinator.intake.dataset_import import Progress, import_dataset
from services.coordinator.intake.imports import Imports
from services.coordinator.intake.reading import RECORDS_AT_ONCE, Reading
from services.coordinator.repositories import datasets
from services.coordinator.repositories.rows import fetch, scalar
from shared.errors import Conflict, Unprocessable
from shared.images import ImageStore
from shared.types import JsonObject
from tests.doubles.town import Town, town

NUM_RECORDS = 2 * RECORDS_AT_ONCE + 50


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png")):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 90, 0, 0)).save(out, "PNG")
        (tmp_path / name).write_bytes(out.getvalue())
    return tmp_path


def record(name: str, question: str = "What?", image: str = "a.png") -> JsonObject:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": "This."}]
    return {"id": name, "image": image, "conversations": said}


def reading(folder: Path, records: list[Any], kind: type[Reading] = Reading) -> Reading:
    file = folder / "data.json"
    file.write_text(json.dumps(records))
    os.utime(file, (1, 1))
    return kind("set", file, folder, "instruct", ImageStore(str(folder / "store")))


def many(num: int = NUM_RECORDS) -> list[JsonObject]:
    return [record(f"r{number}", f"What is {number % (num - 2)}?") for number in range(num)]


class Stopped(Reading):
    """Dies in the middle, as a process does: behind its second batch."""

    def batches(self, skip: int = 0) -> Any:
        for number, batch in enumerate(super().batches(skip)):
            if number == 2:
                raise RuntimeError("killed")
            yield batch


async def take(engine: AsyncEngine, reading: Reading) -> JsonObject:
    return await import_dataset(engine, reading, Progress(reading.file.stat().st_size), "a test")


async def rows(engine: AsyncEngine) -> list[JsonObject]:
    async with engine.connect() as c:
        return await fetch(c, "SELECT * FROM dataset_items ORDER BY id")


async def test_an_import_that_was_stopped_goes_on_where_it_was(engine: AsyncEngine, folder: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        await take(engine, reading(folder, many(), Stopped))
    async with engine.connect() as c:
        half = await datasets.get(c, "set")
    assert half is not None
    assert (half["status"], half["num_records"]) == ("importing", 2 * RECORDS_AT_ONCE)
    stopped = await take(engine, reading(folder, many()))
    kept = await rows(engine)
    async with engine.begin() as c:
        await c.exec_driver_sql("DELETE FROM dataset_items")
        await c.exec_driver_sql("DELETE FROM datasets")
    whole = await take(engine, reading(folder, many()))
    assert await rows(engine) == kept
    same = (
        "num_records",
        "num_instructions",
        "num_images",
        "num_refused",
        "refused",
        "content_sha256",
        "status",
    )
    assert {name: stopped[name] for name in same} == {name: whole[name] for name in same}
    assert (whole["num_records"], whole["num_instructions"], whole["num_images"]) == (
        NUM_RECORDS,
        NUM_RECORDS - 2,
        1,
    )
    reason = "duplicate question about the same picture"
    assert [one["reason"] for one in whole["refused"]] == [reason] * 2


async def test_a_file_that_changed_meanwhile_is_read_from_the_beginning(
    engine: AsyncEngine, folder: Path
) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        await take(engine, reading(folder, many(), Stopped))
    whole = await take(engine, reading(folder, [record("other")]))
    assert (whole["num_records"], whole["num_instructions"]) == (1, 1)
    assert [row["dialogue"] for row in await rows(engine)] == ["other"]


async def test_duplicates_are_found_within_a_batch_and_across(engine: AsyncEngine, folder: Path) -> None:
    records = [record("a"), record("a", "Other?", "b.png"), record("again", "  what? ")]
    records += [record(f"r{number}", f"{number}?") for number in range(RECORDS_AT_ONCE)]
    records += [record("late", "WHAT?"), record("r1", "New?")]
    summary = await take(engine, reading(folder, records))
    assert {one["record"]: one["reason"] for one in summary["refused"]} == {
        "a, turn 0": "duplicate id",
        "again, turn 0": "duplicate question about the same picture",
        "late, turn 0": "duplicate question about the same picture",
        "r1, turn 0": "duplicate id",
    }
    assert (summary["num_instructions"], summary["num_refused"]) == (RECORDS_AT_ONCE + 1, 4)


async def test_the_same_content_in_any_order_changes_nothing_and_other_is_a_conflict(
    engine: AsyncEngine, folder: Path
) -> None:
    first = await take(engine, reading(folder, many(10)))
    assert await take(engine, reading(folder, many(10)[::-1])) == first
    with pytest.raises(Conflict, match="other content"):
        await take(engine, reading(folder, many(9)))
    assert len(await rows(engine)) == 8


async def test_a_list_that_breaks_off_leaves_nothing(engine: AsyncEngine, folder: Path) -> None:
    broken = reading(folder, many())
    broken.file.write_bytes(broken.file.read_bytes()[:-50])
    with pytest.raises(Unprocessable, match=r"is not JSON.*nothing was imported"):
        await take(engine, broken)
    async with engine.connect() as c:
        assert await scalar(c, "SELECT count(*) FROM datasets") == 0
    assert await rows(engine) == []


async def test_two_importers_of_one_file_write_it_once(engine: AsyncEngine, folder: Path) -> None:
    asked = [take(engine, reading(folder, many())) for _ in range(2)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert len(await rows(engine)) == NUM_RECORDS - 2
    assert any(isinstance(one, dict) for one in ended), ended
    assert all(isinstance(one, dict | Conflict) for one in ended), ended


async def test_a_second_request_joins_and_one_that_went_away_stops_nothing(
    engine: AsyncEngine, folder: Path
) -> None:
    imports = Imports(engine)
    source = reading(folder, many())
    first = asyncio.create_task(imports.register(source, "a test"))
    await asyncio.sleep(0)
    second = asyncio.create_task(imports.register(source, "a test"))
    await asyncio.sleep(0)
    first.cancel()
    assert imports.progress("set") is not None
    other = Reading("set", folder / "a.png", folder, "instruct", source.store)
    with pytest.raises(Conflict, match="is being imported from"):
        await imports.register(other, "a test")
    assert (await second)["num_records"] == NUM_RECORDS
    assert imports.progress("set") is None
    await imports.close()


async def test_closing_keeps_what_was_read(engine: AsyncEngine, folder: Path) -> None:
    imports = Imports(engine)
    waiting = asyncio.create_task(imports.register(reading(folder, many(20 * RECORDS_AT_ONCE)), "a test"))
    async with asyncio.timeout(20):
        while not (told := imports.progress("set")) or told["records"] < RECORDS_AT_ONCE:
            await asyncio.sleep(0.005)
    await imports.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with engine.connect() as c:
        half = await datasets.get(c, "set")
        assert half is not None
        assert half["status"] == "importing"
        assert await scalar(c, "SELECT count(*) FROM dataset_items") == half["num_instructions"]


async def test_a_run_on_half_a_data_set_is_refused_and_progress_is_shown(
    tmp_path: Path, postgres_url: str, redis_url: str, engine: AsyncEngine, folder: Path
) -> None:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        half = reading(place.folder, many(), Stopped)
        (place.folder / "a.png").write_bytes((folder / "a.png").read_bytes())
        with pytest.raises(RuntimeError, match="killed"):
            await take(engine, half)
        shown = await place.get("/v1/datasets/set")
        size = half.file.stat().st_size
        assert shown["status"] == "importing"
        assert 0 < shown["progress"].pop("bytes_read") <= size
        nothing = {"rate": None, "time_left_s": None}
        assert shown["progress"] == {"bytes_total": size, "records": 2 * RECORDS_AT_ONCE, **nothing}
        reply = await place.http.post("/v1/runs", json={"name": "r", "dataset": "set"})
        assert reply.status_code == 422
        assert "is not ready: 400 records of it are read so far" in reply.json()["error"]["message"]
        await finish(place, half)


async def finish(place: Town, half: Reading) -> None:
    asked = {"name": "set", "path": str(half.file), "images": str(half.images)}
    done = await place.post("/v1/datasets", asked)
    assert (done["status"], done["num_records"], done["progress"]) == ("ready", NUM_RECORDS, None)
    await place.post("/v1/runs", {"name": "r", "dataset": "set"})

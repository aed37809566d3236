"""Exports as others read them: LLaVA JSON, OpenAI JSON lines, Parquet for `datasets`; with provenance."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from comd.cli import app
from services.coordinator.database import connect
from services.coordinator.repositories.rows import execute, insert
from services.trainer.files import Files
from shared.images import ImageStore
from tests.doubles.town import KEYS, Town, town
from tests.integration.builders import RUN, instruction, make_run

os.environ["HF_HUB_OFFLINE"] = "1"
ANSWERED, UNANSWERED = 5, 2
CONNECTIONS = 10  # of a coordinator to its database


def png(red: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (red, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    """A system with a paused run: two pictures and a text, five answered instructions and two without an answer."""
    async with town(tmp_path, postgres_url, redis_url, num_pictures=1, num_workers=0) as place:
        store = ImageStore(place.settings.image_store)
        first, second = (store.put(png(red)) for red in (10, 20))
        engine = connect(postgres_url)
        async with engine.begin() as c:
            await make_run(c, number=2)
            await execute(c, "UPDATE runs SET status = 'paused'")
            await fill(c, first, second)
        await engine.dispose()
        yield place


async def fill(c: AsyncConnection, first: str, second: str) -> None:
    grown: dict[str, Any] = {"origin": "augmented", "dialogue": None, "turn": None, "born_in": 2}
    rows = [
        instruction(1, first, turn=1),
        instruction(2, first, dialogue="d1", turn=0),
        instruction(3, second),
        instruction(4, "text:abc", text="no picture?"),
        instruction(5, first, parent=2, **grown),
        instruction(6, second, parent=3, **grown),
        instruction(7, "text:abc", parent=4, **grown),
    ]
    await insert(c, "instructions", rows)
    common = {
        "role": "teacher",
        "model_revision": "teacher-7",
        "prompt_version": "p1",
        "finish_reason": "stop",
    }
    used = {"prompt_tokens": 1, "completion_tokens": 1, "created_at": "2026-01-01T00:00:00Z"}
    names = [f"hash-{number}" for number in range(1, ANSWERED + 1)]
    await insert(
        c, "answers", [{"request_hash": h, "text": f"answer of {h}", **common, **used} for h in names]
    )
    told = {"run_id": RUN, "role": "teacher", "checkpoint": ""}
    await insert(
        c, "bindings", [{**told, "instruction_id": n, "request_hash": h} for n, h in enumerate(names, 1)]
    )


async def exported(place: Town, folder: Path, form: str, **query: Any) -> Path:
    reply = await place.http.get(f"/v1/runs/{RUN}/pools/cache/export", params={"format": form, **query})
    assert reply.is_success, reply.text
    assert int(reply.headers["x-comd-answered"]) == ANSWERED
    assert int(reply.headers["x-comd-unanswered"]) == UNANSWERED
    file = folder / reply.headers["content-disposition"].split('"')[1]
    file.write_bytes(reply.content)
    return file


def load(kind: str, file: Path, folder: Path) -> Any:
    import datasets  # slow to import, and reads HF_HUB_OFFLINE

    return datasets.load_dataset(kind, data_files=str(file), split="train", cache_dir=str(folder / "cache"))


async def test_parquet_is_read_by_datasets_with_provenance(place: Town, tmp_path: Path) -> None:
    rows = load("parquet", await exported(place, tmp_path, "parquet"), tmp_path)
    assert sorted(rows["id"]) == [1, 2, 3, 4, 5]
    row = next(one for one in rows if one["id"] == 5)
    picture = row.pop("image_sha256")
    assert len(picture) == 64
    assert row == {
        "id": 5,
        "text": "question 5?",
        "answer": "answer of hash-5",
        "task_type": "colour",
        "origin": "augmented",
        "parent": 2,
        "born_in": 2,
        "dialogue": None,
        "turn": None,
        "teacher_revision": "teacher-7",
        "prompt_version": "p1",
        "request_hash": "hash-5",
        "run": RUN,
        "iteration": 2,
    }
    assert next(one for one in rows if one["id"] == 4)["image_sha256"] is None


async def test_parquet_with_pictures_has_an_image_column(place: Town, tmp_path: Path) -> None:
    rows = load("parquet", await exported(place, tmp_path, "parquet", images=True), tmp_path)
    shown = {row["id"]: row["image"] for row in rows}
    assert {number: shown[number].getpixel((0, 0))[0] for number in (1, 2, 3, 5)} == {
        1: 10,
        2: 10,
        3: 20,
        5: 10,
    }
    assert shown[4] is None
    refused = await place.http.get(f"/v1/runs/{RUN}/pools/cache/export", params={"images": True})
    assert (refused.status_code, "format=parquet" in refused.text) == (400, True)


@pytest.mark.parametrize("form", ["llava", "openai"])
async def test_dialogues_are_read_by_datasets_and_by_the_trainer(
    place: Town, tmp_path: Path, form: str
) -> None:
    file = await exported(place, tmp_path, form)
    rows = load("json", file, tmp_path)
    assert len(rows) == 3
    told = [row["provenance"] for row in rows]
    assert {one["run"] for one in told} == {RUN}
    largest = max(told, key=lambda one: len(one["instructions"]))["instructions"]
    assert [one["id"] for one in largest] == ["2", "1", "5"]  # in (dialogue, turn), then id order
    names = ("parent", "model_revision", "request_hash")
    assert [largest[2][name] for name in names] == ["2", "teacher-7", "hash-5"]
    kept = Files(tmp_path / "files", ImageStore(place.settings.image_store), lambda: 7)
    with file.open("rb") as content:
        about = kept.add(content, file.name)
    assert len(kept.path(about["id"]).read_bytes().splitlines()) == 3


async def test_an_exported_pool_comes_in_again(place: Town, tmp_path: Path) -> None:
    file = await exported(place, place.folder, "llava")
    done = await place.post("/v1/datasets", {"name": "again", "path": str(file)})
    assert (done["num_records"], done["num_instructions"], done["refused"]) == (3, ANSWERED, [])
    assert done["num_images"] == 2


async def test_the_command_line_exports_and_imports(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_URL", str(place.http.base_url))
    monkeypatch.setenv("COMD_API_KEY", KEYS.api)
    monkeypatch.setenv("COMD_INTERNAL_KEY", KEYS.internal)

    async def comd(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*words])
        assert result.exit_code == 0, result.output
        return result.output.replace("\n", " ")

    out = place.folder / "pool.json"
    said = await comd("pool", "export", "run", "tuning", "--iteration", "2", "--out", str(out))
    assert "1 instructions of the tuning pool of iteration 2; 2 have no answer and are left out" in said
    assert [one.name for one in place.folder.glob("pool*")] == ["pool.json"]
    assert "back: 1 instructions imported" in await comd(
        "data", "import", str(out), "--name", "back", "--images", str(place.folder)
    )


async def test_a_pool_without_answers_is_an_empty_file(place: Town, postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await execute(c, "DELETE FROM bindings")
    await engine.dispose()
    for form, content in (("llava", b"[]\n"), ("openai", b"")):
        reply = await place.http.get(f"/v1/runs/{RUN}/pools/cache/export", params={"format": form})
        assert reply.content == content
    reply = await place.http.get(f"/v1/runs/{RUN}/pools/cache/export", params={"format": "parquet"})
    table = pq.read_table(io.BytesIO(reply.content))
    assert (table.num_rows, "request_hash" in table.column_names) == (0, True)


async def test_clients_that_stop_reading_hold_no_connection(place: Town, postgres_url: str) -> None:
    """More of them than the coordinator has connections to its database; then they go away."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await execute(
            c,
            """
            INSERT INTO instructions (run_id, id, image, text, task_type, origin, born_in)
            SELECT 'run-1', n + 100, 'text:' || n, repeat('long ', 800), 'colour', 'seed', 1
            FROM generate_series(1, 5000) n
            """,
        )
        await execute(
            c,
            """
            INSERT INTO bindings (run_id, instruction_id, role, checkpoint, request_hash)
            SELECT 'run-1', n + 100, 'teacher', '', 'hash-1' FROM generate_series(1, 5000) n
            """,
        )
    await engine.dispose()
    async with contextlib.AsyncExitStack() as open_ones, asyncio.timeout(30):
        for _ in range(CONNECTIONS + 2):
            export = place.http.stream("GET", f"/v1/runs/{RUN}/pools/cache/export")
            reply = await open_ones.enter_async_context(export)
            assert await anext(reply.aiter_bytes())
        assert (await place.get(f"/v1/runs/{RUN}"))["status"] == "paused"
    assert (await place.get(f"/v1/runs/{RUN}"))["status"] == "paused"

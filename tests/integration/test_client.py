"""`comd.Client` and `comd.AsyncClient` against a real coordinator: every route, and what goes wrong."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import comd
from services.coordinator.matching import is_match
from shared.errors import (
    Conflict,
    EngineUnavailable,
    Forbidden,
    NotFound,
    Unauthorized,
    Unprocessable,
)
from tests.doubles.official import write_scienceqa
from tests.doubles.town import KEYS, Town, town

ROUTES = {  # every route of the coordinator, and the method that asks for it
    "GET /health": "health",
    "GET /ready": "ready",
    "GET /metrics": "metrics",
    "GET /v1/datasets": "datasets.list",
    "POST /v1/datasets": "datasets.register",
    "GET /v1/datasets/{name}": "datasets.get",
    "GET /v1/runs": "runs.list",
    "POST /v1/runs": "runs.create",
    "GET /v1/runs/{run_id}": "runs.get",
    "PATCH /v1/runs/{run_id}": "runs.change",
    "GET /v1/runs/{run_id}/iterations": "runs.iterations",
    "POST /v1/runs/{run_id}/iterations": "runs.start",
    "GET /v1/runs/{run_id}/iterations/{number}": "runs.iteration",
    "GET /v1/runs/{run_id}/iterations/{number}/curve": "runs.curve",
    "GET /v1/runs/{run_id}/iterations/{number}/heldout": "runs.heldout",
    "GET /v1/runs/{run_id}/events": "runs.events",
    "POST /v1/runs/{run_id}/pause": "runs.pause",
    "POST /v1/runs/{run_id}/resume": "runs.resume",
    "POST /v1/runs/{run_id}/cancel": "runs.cancel",
    "POST /v1/runs/{run_id}/retry": "runs.retry",
    "GET /v1/runs/{run_id}/log": "runs.log",
    "GET /v1/runs/{run_id}/failures": "runs.failures",
    "POST /v1/runs/{run_id}/branch": "runs.branch",
    "GET /v1/runs/{run_id}/flips": "runs.flips",
    "GET /v1/runs/{run_id}/usage": "runs.usage",
    "GET /v1/runs/{run_id}/report": "runs.report",
    "GET /v1/runs/{run_id}/pools/{pool}": "pools.items",
    "GET /v1/runs/{run_id}/pools/{pool}/export": "pools.export",
    "GET /v1/runs/{run_id}/instructions/{instruction_id}": "instructions.get",
    "GET /v1/runs/{run_id}/instructions": "instructions.list",
    "GET /v1/images/{sha256}": "images.get",
    "GET /v1/benchmarks": "benchmarks.list",
    "POST /v1/benchmarks": "benchmarks.register",
    "GET /v1/benchmarks/{name}": "benchmarks.get",
    "GET /v1/evaluations": "evaluations.list",
    "POST /v1/evaluations": "evaluations.create",
    "GET /v1/evaluations/{evaluation_id}": "evaluations.get",
    "GET /v1/evaluations/{evaluation_id}/table": "evaluations.table",
    "GET /v1/evaluations/{evaluation_id}/items": "evaluations.items",
    "GET /v1/evaluations/{evaluation_id}/difference": "evaluations.difference",
    "GET /v1/evaluations/{evaluation_id}/export": "evaluations.export",
    "GET /v1/log": "log",
    "GET /v1/keys": "keys.list",
    "POST /v1/keys": "keys.create",
    "DELETE /v1/keys/{name}": "keys.revoke",
    "GET /v1/doctor": "doctor",
}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url) as place:
        yield place


def url_of(place: Town) -> str:
    return str(place.http.base_url)


async def asked(client: comd.AsyncClient, method: str, *words: Any, **more: Any) -> Any:
    """What the method gives: an answer, or all rows of an iterator."""
    at: Any = client
    for name in method.split("."):
        at = getattr(at, name)
    found = at(*words, **more)
    return [row async for row in found] if inspect.isasyncgen(found) else await found


async def test_every_route_has_a_method_that_works(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    document = await place.get("/openapi.json")
    there = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert there == ROUTES.keys(), (
        "a route of the coordinator has no method of the client, or the other way round"
    )
    called: dict[str, Any] = {}

    async with comd.AsyncClient(url_of(place), KEYS.api) as client:

        async def ask(method: str, *words: Any, **more: Any) -> Any:
            called[method] = None
            called[method] = await asked(client, method, *words, **more)
            return called[method]

        await _begin(place, ask)
        run_id = called["runs.create"].id
        assert (await client.runs.wait(run_id, timeout_s=30)).status == "finished"
        await _look(ask, run_id, tmp_path)
        await _measure(client, ask, run_id, tmp_path)
        await _steer(ask, run_id)
    assert {method for method in called if not method.startswith("tables.")} == set(ROUTES.values())


async def _begin(place: Town, ask: Any) -> None:
    for name, file, images, purpose in (
        ("world", "instruct.json", "images", "instruct"),
        ("heldout", "heldout.json", "heldout", "evaluation"),
    ):
        made = await ask("datasets.register", name, place.folder / file, place.folder / images, purpose)
        assert (made.status, made.purpose, made.progress) == ("ready", purpose, None)
    assert [one.name for one in await ask("datasets.list")] == ["world", "heldout"]
    assert (await ask("datasets.get", "world")).num_instructions == 12
    config = {"trainings": 3, "evaluation": {"dataset": "heldout"}, "teacher": {"price": {"prompt": 3.0}}}
    run = await ask("runs.create", "small", "world", config)
    assert (run.status, run.progress.done) == ("created", None)
    begun = [await ask("runs.start", run.id, idempotency_key="once") for _ in range(2)]
    assert [one.target for one in begun] == [3, 3]


async def _look(ask: Any, run_id: str, folder: Path) -> None:
    assert [run.name for run in await ask("runs.list")] == ["small"]
    run = await ask("runs.get", run_id)
    assert run.usage.by_role["teacher"].cost == run.usage.spent > 0
    assert (await ask("runs.usage", run_id)).iterations[0].number == 0
    rounds = await ask("runs.iterations", run_id)
    assert [one.number for one in rounds] == [0, 1, 2, 3]
    assert (await ask("runs.iteration", run_id, 1)) == rounds[1]
    assert (rounds[0].checkpoint, rounds[1].cache_pool, rounds[3].phase) == (None, 12, "trained")
    steps = [point.step for point in await ask("runs.curve", run_id, 1)]
    assert steps == sorted(steps)
    await _look_at_heldout(ask, run_id, rounds[1])
    events = await ask("runs.events", run_id)
    assert events[-1].status == "finished"
    assert events[-1].iterations[2].heldout_accuracy == rounds[2].heldout_accuracy
    report = await ask("runs.report", run_id, examples=1)
    assert len(report.examples) == 1
    assert [len(order.evidence) > 0 for order in report.examples[0].runs] == [True, True]
    one = await ask("instructions.get", run_id, report.examples[0].id)
    assert one.verdicts[0].difficulty == report.examples[0].difficulty
    assert {answer.role for answer in one.answers} == {"teacher", "student"}
    await _look_at_instructions(ask, run_id, one.id)
    await _tabulate(ask, run_id, folder)
    assert (await ask("images.get", one.image)).startswith(b"\x89PNG")
    items = await ask("pools.items", run_id, "cache")
    assert one.id in {item.id for item in items}
    file = folder / "pool.json"
    exported = await ask("pools.export", run_id, "cache", file)
    assert (exported.num_answered, exported.iteration) == (len(items), 3)
    assert [path.name for path in folder.glob("pool.json*")] == ["pool.json"]
    assert next(entry.action for entry in await ask("runs.log", run_id)) == "created"
    assert await ask("runs.failures", run_id) == []
    assert await ask("runs.flips", run_id, 1, 1) == []  # an assessment agrees with itself
    await _compare(ask, run_id)
    assert {entry.run_id for entry in await ask("log")} == {None, run_id}
    assert "database" in {finding.what for finding in (await ask("doctor")).data}
    assert (await ask("health"))["status"] == "up"
    assert (await ask("ready"))["ready"] is True
    assert "# HELP" in await ask("metrics")


async def _look_at_heldout(ask: Any, run_id: str, measured: Any) -> None:
    """The items say what the iteration's accuracies are."""
    items = await ask("runs.heldout", run_id, measured.number)
    kinds = {item.task_type for item in items}
    by_kind = {kind: [item.correct for item in items if item.task_type == kind] for kind in kinds}
    assert {kind: sum(marks) / len(marks) for kind, marks in by_kind.items()} == measured.heldout_by_kind
    assert all((item.correct, item.turn) == (is_match(item.answer, item.reference), 0) for item in items)
    with pytest.raises(NotFound, match="has no iteration 4 yet"):
        await ask("runs.heldout", run_id, 4)


async def _look_at_instructions(ask: Any, run_id: str, known: str) -> None:
    hardest = await ask("instructions.list", run_id, 1)
    difficulties = [one.difficulty for one in hardest]
    assert len(hardest) == 12
    assert difficulties == sorted(difficulties, reverse=True)
    found = next(one for one in hardest if one.id == known)
    assert (found.student_score < found.teacher_score, found.unjudged) == (True, False)
    assert None not in (found.teacher_answer, found.student_answer)
    of_its_type = await ask(
        "instructions.list", run_id, 1, task_type=found.task_type, words=found.text.split()[0].upper()
    )
    assert found in of_its_type
    assert {one.task_type for one in of_its_type} == {found.task_type}
    assert len(await ask("instructions.list", run_id, 2, "all")) > 12
    with pytest.raises(NotFound, match="has no iteration 4 yet"):
        await ask("instructions.list", run_id, 4)
    with pytest.raises(Unprocessable, match="show"):
        await ask("instructions.list", run_id, show="worst")


async def _compare(ask: Any, run_id: str) -> None:
    """What flipped is what the two assessments say."""
    first, second = [
        {one.id: one for one in await ask("instructions.list", run_id, number)} for number in (1, 2)
    ]
    tau = (await ask("runs.get", run_id)).config["tau"]
    learnt = {
        name
        for name, one in first.items()
        if one.difficulty >= tau and name in second and second[name].difficulty < tau
    }
    flips = await ask("runs.flips", run_id, 1, 2, kind="learnt")
    assert {flip.id for flip in flips} == learnt
    assert all(flip.before.difficulty == first[flip.id].difficulty for flip in flips)
    assert len(learnt) > 0


async def _tabulate(ask: Any, run_id: str, folder: Path) -> None:
    table = await ask("tables.iterations", run_id)
    assert list(table.index) == [0, 1, 2, 3]
    assert table["cache_pool"].dtype == "Int64"  # whole, although there is none of the start measurement
    assert table["heldout_accuracy"].between(0, 1).all()
    assert {"accuracy_colour", "seconds_training", "train_loss", "spent"} <= set(table.columns)
    judged = await ask("tables.instructions", run_id, 1)
    assert (len(judged), judged["difficulty"].is_monotonic_decreasing) == (12, True)
    failures = await ask("tables.failures", run_id)
    assert (len(failures), "reason" in failures.columns) == (0, True)
    pool = await ask("tables.pool", run_id)
    assert pool["answer"].notna().all()
    data = await ask("tables.dataset", run_id)
    assert data.num_rows == len(pool)
    assert data[0]["image"].size == (64, 64)
    stored = await ask("tables.dataset", run_id, "tuning", 1, to=folder / "pool.parquet")
    assert (stored.num_rows, (folder / "pool.parquet").exists()) == (12, True)
    assert stored.features["image"].__class__.__name__ == "Image"


async def _measure(client: comd.AsyncClient, ask: Any, run_id: str, folder: Path) -> None:
    made = await ask("benchmarks.register", "exam", "scienceqa", write_scienceqa(folder / "exam"))
    assert (made.kind, made.split, made.num_items) == ("scienceqa", "test", 5)
    assert [one.name for one in await ask("benchmarks.list")] == ["exam"]
    assert await ask("benchmarks.get", "exam") == made
    one = await ask("evaluations.create", "exam", {"run": run_id, "iteration": 1}, "mine", {"seed": 3})
    assert (await client.runs.wait(one.id, timeout_s=30)).status == "finished"
    other = await client.evaluations.create("exam", {"run": run_id, "iteration": 2})
    assert (await client.runs.wait(other.id, timeout_s=30)).status == "finished"
    one = await ask("evaluations.get", one.id)
    assert (one.name, one.run, one.iteration, one.settings.seed) == ("mine", run_id, 1, 3)
    assert sum(one.outcomes.values()) == one.items == 5
    assert {row.id for row in await ask("evaluations.list", run=run_id, benchmark="exam")} == {
        one.id,
        other.id,
    }
    table = await ask("evaluations.table", one.id, [other.id])
    assert [row.source for row in table.rows[:3]] == ["measured", "measured", "paper"]
    assert table.rows[0].cells[-1] == one.scores["AVG"]
    assert "AVG" in await client.evaluations.table_text(one.id, [other.id], "csv")
    change = (await ask("evaluations.difference", one.id, other.id)).columns["AVG"]
    assert change.value == pytest.approx(one.scores["AVG"].value - table.rows[1].cells[-1].value)
    items = await ask("evaluations.items", one.id)
    assert [item.outcome for item in items].count("right") == one.outcomes.get("right", 0)
    assert [item.id for item in await ask("evaluations.items", one.id, group="IMG")] == [1, 2]
    assert await ask("evaluations.export", one.id, folder / "items.jsonl") == 5
    assert len((folder / "items.jsonl").read_bytes().splitlines()) == 5


async def _steer(ask: Any, run_id: str) -> None:
    changed = await ask("runs.change", run_id, budget=5.0, prices={"student": {"prompt": 1.0}})
    assert (changed.usage.limit, changed.config["student"]["price"]["prompt"]) == (5.0, 1.0)
    assert (await ask("runs.change", run_id, budget=None)).usage.limit is None
    child = await ask("runs.branch", run_id, 1, "other", {"tau": 0.5})
    assert (child.parent_run, child.branched_from, child.config["tau"]) == (run_id, 1, 0.5)
    await ask("runs.start", child.id, 1)  # it goes on with iteration 1's assessment
    assert (await ask("runs.pause", child.id)).status == "paused"
    assert (await ask("runs.resume", child.id)).status == "running"
    with pytest.raises(Conflict, match="nothing failed there"):
        await ask("runs.retry", child.id)
    assert (await ask("runs.cancel", child.id)).status == "cancelled"
    made = await ask("keys.create", "reader", "read")
    assert [key.name for key in await ask("keys.list")] == ["reader"]
    assert made.key.startswith("comd-")
    assert (await ask("keys.revoke", "reader")).revoked_at is not None


async def test_the_sync_client_does_the_same(place: Town, tmp_path: Path) -> None:
    run_id = await place.begin(trainings=2)

    def work() -> None:
        with comd.Client(url_of(place), KEYS.api) as client:
            seen = [(event.status, event.progress.phase) for event in client.runs.events(run_id)]
            run = client.runs.wait(run_id)
            assert seen[0][0] == "running"
            assert seen[-1][0] == run.status == "finished"
            assert client.runs.find("run").id == client.runs.find(run_id).id == run_id
            with (tmp_path / "pool.parquet").open("wb") as file:
                counted: list[int] = []
                client.pools.export(
                    run_id, "tuning", file, "parquet", 1, images=True, on_bytes=counted.append
                )
            assert sum(counted) == (tmp_path / "pool.parquet").stat().st_size
            assert len({item.id for item in client.pools.items(run_id, "tuning", 1)}) == 12

    await asyncio.to_thread(work)


async def test_what_cannot_be_done_is_an_error_of_its_own_class(place: Town, tmp_path: Path) -> None:
    async with comd.AsyncClient(url_of(place), KEYS.api) as client:
        with pytest.raises(NotFound) as missing:
            await client.runs.get("run-0")
        assert (missing.value.status, missing.value.code) == (404, "run_not_found")
        with pytest.raises(NotFound, match="no run is called 'other'; `comd run list`"):
            await client.runs.find("other")
        with pytest.raises(Unprocessable, match="no data set 'nothing'"):
            await client.runs.create("a", "nothing")
        with pytest.raises(Unprocessable, match="allowed in the top level"):
            await client.runs.create("a", "nothing", {"typo": 1})
        with pytest.raises(NotFound):
            await client.pools.export("run-0", "cache", tmp_path / "none.json")
        assert not list(tmp_path.glob("none*"))
        reader = await client.keys.create("reader")
    async with comd.AsyncClient(url_of(place), reader.key) as client:
        with pytest.raises(Forbidden) as refused:
            await client.runs.pause("run-0")
        assert refused.value.code == "scope_missing"
    async with comd.AsyncClient(url_of(place), "not-the-key") as client:
        with pytest.raises(Unauthorized, match="comd key show"):
            await client.runs.list()


@contextmanager
def breaking_off(*replies: bytes) -> Iterator[str]:
    """A server that sends each of these bytes to one connection and hangs up; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for reply in replies:
                taken, _ = server.accept()
                with taken:
                    taken.recv(65536)
                    taken.sendall(reply)

        thread = Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=10)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
EVENT = '{"id": "r", "name": "a\u2028b", "status": "%s", "target": 1, "progress": {}, "reason": null, "iterations": []}'


def events(*statuses: str) -> bytes:
    """A stream that breaks off in the middle of a chunk."""
    body = b"".join(f"event: run\ndata: {EVENT % status}\n\n: still here\n\n".encode() for status in statuses)
    head = HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
    return head + f"{len(body) + 20:x}\r\n".encode() + body


def test_an_answer_that_is_cut_short_is_asked_for_again() -> None:
    cut = HEAD % b"application/json" + b"content-length: 100\r\n\r\n{"
    whole = b'{"object": "list", "data": []}'
    right = HEAD % b"application/json" + f"content-length: {len(whole)}\r\n\r\n".encode() + whole
    with breaking_off(cut, right) as url, comd.Client(url) as client:
        assert client.runs.list() == []
    with breaking_off(cut) as url, comd.Client(url, retries=0) as client, pytest.raises(EngineUnavailable):
        client.runs.list()


def test_an_export_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    cut = HEAD % b"application/json" + b"content-length: 100\r\n\r\n[{"
    (tmp_path / "pool.json").write_text("the last one")
    broken_off = pytest.raises(EngineUnavailable, match=r"the export from .* broke off")
    with breaking_off(cut) as url, comd.Client(url) as client, broken_off:
        client.pools.export("r", "cache", tmp_path / "pool.json")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the last one"]


def test_events_outlive_a_lost_connection() -> None:
    with breaking_off(events("running"), events("running", "finished")) as url, comd.Client(url) as client:
        seen = [(event.name, event.status) for event in client.runs.events("r")]
    assert seen == [("a\u2028b", "running"), ("a\u2028b", "finished")]


def test_events_of_a_coordinator_that_is_not_there_fail_at_once() -> None:
    with (
        comd.Client("http://127.0.0.1:1") as client,
        pytest.raises(EngineUnavailable, match="cannot be reached"),
    ):
        next(client.runs.events("r"))

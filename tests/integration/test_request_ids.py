"""One id goes with a request from its caller to the engine, and stands in the log of each service on the way."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from comd.stack.children import Child
from services.coordinator.outgoing import Http, ItemFailed
from services.coordinator.repositories.tasks import Claim, TaskKey
from services.coordinator.work_loops import request_id_of
from shared import request_ids
from shared.service import Readiness, create_app
from tests.doubles.lab import await_health
from tests.doubles.town import KEYS, town
from tests.loopback import free_port, serving

REQUEST_ID = "run-1:2:assessing:0f3c:1"


def recording_engine(heard: list[str], status: int = 200) -> FastAPI:
    """An OpenAI-compatible server that writes down the ids of the chat requests it gets."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "m", "object": "model"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        heard.append(request.headers["x-request-id"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a lamp"}}
        error = {"error": {"message": "no", "type": "t", "code": "c"}}
        return JSONResponse({"choices": [choice]} if status == 200 else error, status)

    return app


def test_only_sane_ids_are_taken_and_each_request_has_its_own() -> None:
    async def probe() -> Readiness:
        return Readiness(True)

    app = create_app("talker", KEYS, probe)

    @app.get("/mine")
    async def mine() -> dict[str, str | None]:
        return {"id": request_ids.current()}

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a bug")

    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as http:
        http.headers["authorization"] = f"Bearer {KEYS.api}"
        for given, taken in (
            ("run-1:2.a_B", True),
            ("x" * 128, True),
            ("x" * 129, False),
            ("a b", False),
            ("é", False),
        ):
            reply = http.get("/mine", headers={"x-request-id": given.encode()})
            assert reply.json()["id"] == reply.headers["x-request-id"]
            assert (reply.json()["id"] == given) == taken, given
        made = {http.get("/mine").json()["id"] for _ in range(3)}
        assert len(made) == 3
        fault = http.get("/broken", headers={"x-request-id": "abc"})
        assert (fault.status_code, fault.headers["x-request-id"]) == (500, "abc")
        assert "by the id abc" in fault.json()["error"]["message"]
        assert http.get("/nowhere", headers={"authorization": ""}).headers["x-request-id"]
    assert request_ids.current() is None


async def test_an_id_goes_to_the_service_and_its_log_and_on_to_the_engine(tmp_path: Path) -> None:
    heard: list[str] = []
    with serving(recording_engine(heard, 400)) as engine:
        port, log = free_port(), tmp_path / "teacher.log"
        env = {"COMD_TEACHER_ENGINE": json.dumps({"base_url": engine, "model": "m"})}
        keys = {"COMD_API_KEY": KEYS.api, "COMD_INTERNAL_KEY": KEYS.internal, "COMD_HOME": str(tmp_path)}
        arguments = [sys.executable, "-m", "services.teacher", f"--port={port}"]
        teacher = Child("teacher", arguments, log, {**os.environ, **env, **keys})
        teacher.start()
        http, url = Http(KEYS, 20), f"http://127.0.0.1:{port}"
        try:
            await_health(url)
            body = {"messages": [{"role": "user", "content": "hi"}]}
            with request_ids.bound(REQUEST_ID), pytest.raises(ItemFailed):
                await http.request("POST", f"{url}/v1/chat/completions", body)
        finally:
            await http.close()
            teacher.ask_to_stop()
            teacher.wait_or_kill()
    assert heard == [REQUEST_ID]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines if line.get("request_id") == REQUEST_ID] == [400]


async def test_the_calls_for_a_task_have_an_id_that_its_failures_lead_to(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    heard: list[str] = []
    with serving(recording_engine(heard)) as engine:
        async with town(tmp_path, postgres_url, redis_url, num_pictures=2, teacher_url=engine) as place:
            run_id = await place.begin(trainings=1)
            await place.wait_for_end(run_id)
            images = {row["image"] for row in (await place.get(f"/v1/runs/{run_id}/pools/cache"))["data"]}
    claims = [Claim(TaskKey(run_id, 1, "teaching", image), 1) for image in images]
    assert set(heard) >= {request_id_of(claim) for claim in claims}
    assert len({request_id_of(claim) for claim in claims}) == 2


def test_an_id_made_of_anything_is_sane() -> None:
    made = request_ids.of_parts("run-1", 2, "assessing", "text:a b/c" + "x" * 99, 3)
    assert request_ids.SANE.fullmatch(made)
    assert made.startswith("run-1:2:assessing:text:a-b-c")

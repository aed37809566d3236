"""`teacher_url` names a server that knows nothing of us: it is asked as any client would, and never sees our keys."""

from pathlib import Path

import psycopg
import pytest

from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from tests.doubles.door import Door
from tests.doubles.town import KEYS, town
from tests.loopback import serving

KEY = "key-of-the-bare-server"


@pytest.fixture
def door() -> Door:
    return Door(create_app(Behaviour()), key=KEY, models=("scripted",))


async def test_a_bare_server_teaches(
    door: Door, tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_TEACHER", KEY)
    with serving(door) as url:
        async with town(tmp_path, postgres_url, redis_url, teacher_url=url) as place:
            run_id = await place.begin(trainings=1)
            assert (await place.wait_for_end(run_id))["status"] == "finished"
    with psycopg.connect(postgres_url) as connection:
        answers = connection.execute(
            "SELECT DISTINCT model_revision, prompt_version FROM answers WHERE role = 'teacher'"
        ).fetchall()
        (num_failures,) = connection.execute("SELECT count(*) FROM failures").fetchone() or (None,)
    assert answers == [(f"{url}|scripted|scripted", "none")]
    assert num_failures == 0
    assert len(door.said) == 12
    sent = {(path, headers.get("authorization")) for path, headers in door.heard}
    assert sent == {
        ("/health", None),
        ("/v1/models", f"Bearer {KEY}"),
        ("/v1/chat/completions", f"Bearer {KEY}"),
    }
    assert not any(KEYS.internal in str(headers) or "x-comd" in str(headers) for _, headers in door.heard)


async def test_what_a_bare_server_lacks_is_waited_for_in_words(
    door: Door, tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.models = None
    with serving(door) as url:
        async with town(tmp_path, postgres_url, redis_url, teacher_url=url, num_pictures=2) as place:
            run_id = await place.begin(trainings=1)

            async def waits_for(text: str) -> None:
                await place.wait(run_id, lambda run: text in (run["progress"].get("waiting") or ""))

            await waits_for("check the engine's key (none is configured)")
            monkeypatch.setenv("COMD_ENGINE_KEY_TEACHER", "not-the-right-one")
            await waits_for("check the engine's key (COMD_ENGINE_KEY_TEACHER)")
            monkeypatch.setenv("COMD_ENGINE_KEY_TEACHER", KEY)
            await waits_for("lists 12 models (scripted, scripted-student, scripted-student@0")
            door.is_away = True
            await waits_for("answered 503")
            door.is_away, door.models = False, ("scripted",)
            assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_the_models_of_a_bare_server_are_chosen_by_name_or_by_swap(
    door: Door, tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_TEACHER", KEY)
    door.models = None
    with serving(door) as url:
        told = {"teacher_url": url, "teacher_model": "scripted-student@9"}
        async with town(tmp_path, postgres_url, redis_url, num_pictures=2, **told) as place:
            run_id = await place.begin(trainings=1)
            assert (await place.wait_for_end(run_id))["status"] == "finished"
            run = await place.post("/v1/runs", {"name": "two", "dataset": "world"})
            spec = {"base_url": url, "model": "scripted", "key_name": "COMD_ENGINE_KEY_TEACHER"}
            for change, said in (
                ({**spec, "base_url": place.engine_url}, "can be swapped only within it"),
                ({**spec, "model": "gpt"}, "model 'gpt' is not listed"),
            ):
                reply = await place.http.patch(
                    f"/v1/runs/{run['id']}", json={"endpoints": {"teacher": change}}
                )
                assert (reply.status_code, said in reply.text) == (422, True), reply.text
            reply = await place.http.patch(f"/v1/runs/{run['id']}", json={"endpoints": {"teacher": spec}})
            assert reply.json()["engines"]["teacher"]["model"] == "scripted"
    with psycopg.connect(postgres_url) as connection:
        models = connection.execute("SELECT DISTINCT model_revision FROM answers WHERE role = 'teacher'")
        assert models.fetchall() == [(f"{url}|scripted-student@9|scripted-student@9",)]

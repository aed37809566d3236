"""Whatever is sent to the REST API: no answer is a 500, none is outside its own document, none comes without a key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from comd.scripted.app import create_app as create_engine_app
from comd.scripted.roles import Behaviour
from services.assessor.app import AssessorSettings, create_assessor_app
from services.augmentor.app import AugmentorSettings, create_augmentor_app
from services.teacher.app import TeacherSettings, create_teacher_app
from services.trainer.app import app_of
from services.trainer.settings import TrainerSettings
from services.trainer.trainer import Trainer
from tests.doubles.town import KEYS, Town, town
from tests.fuzzing import fuzz
from tests.loopback import serving
from tests.nasty import Known, nasty_answers


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        yield place


async def known_names(place: Town) -> Known:
    """Names that lead to something: runs that ended, with and without results, and one to be changed."""
    full = await place.begin(trainings=2)
    await place.wait_for_end(full)
    empty, open_ = [await place.post("/v1/runs", {"name": name, "dataset": "world"}) for name in ("e", "o")]
    for ended in (full, empty["id"]):
        await place.post(f"/v1/runs/{ended}/cancel")  # else its event stream has no end
    row = (await place.get(f"/v1/runs/{full}/pools/cache"))["data"][0]
    return {
        "run_id": [full, empty["id"]],
        "POST run_id": [open_["id"], full],
        "PATCH run_id": [open_["id"], full],
        "name": ["world", "captions"],
        "number": ["1", "2"],
        "pool": ["cache", "tuning"],
        "instruction_id": [row["id"]],
        "sha256": [row["image"]],
    }


async def test_the_fuzzer_finds_nothing_in_the_coordinator(place: Town) -> None:
    known = await known_names(place)
    sent = await asyncio.to_thread(fuzz, str(place.http.base_url), KEYS.api, known)
    assert len(sent) > 20
    assert min(sent.values()) > 0


async def test_nasty_values_are_refused_or_taken_but_never_a_fault(place: Town) -> None:
    known = await known_names(place)
    bad = await asyncio.to_thread(faults, str(place.http.base_url), known)
    assert not bad


@pytest.mark.parametrize("name", ["teacher", "assessor", "augmentor", "trainer"])
async def test_the_other_services_hold_too(name: str, tmp_path: Path) -> None:
    told: dict[str, Any] = {"image_store": str(tmp_path)}
    with serving(create_engine_app(Behaviour())) as engine_url:
        told["engine"] = {"base_url": engine_url, "model": "scripted", "kind": "scripted"}
        with serving(app_of_service(name, told, tmp_path)) as url:
            assert not await asyncio.to_thread(faults, url, {})
            assert await asyncio.to_thread(fuzz, url, KEYS.api, {})


def app_of_service(name: str, told: dict[str, Any], folder: Path) -> FastAPI:
    if name == "trainer":  # nobody starts it: its jobs stay queued
        return app_of(Trainer(TrainerSettings(image_store=str(folder)), folder / "trainer"), KEYS)
    if name == "teacher":
        return create_teacher_app(TeacherSettings(**told), KEYS)
    if name == "assessor":
        return create_assessor_app(AssessorSettings(**told), KEYS)
    return create_augmentor_app(AugmentorSettings(**told), KEYS)


def faults(url: str, known: Known) -> list[str]:
    """What was answered with a fault, or by somebody else than our own error handlers."""
    bad = []
    for label, answer in nasty_answers(url, KEYS.api, known):
        is_ours = answer.status_code < 400 or "error" in answer.json()
        if answer.status_code >= 500 or not is_ours:
            bad.append(f"{label}: {answer.status_code} {answer.text[:200]}")
    return bad

"""`/runs/new`: a form that creates a run, and starts it; empty, filled like another run, or with a file of settings."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.control import begin
from services.coordinator.api.frame import Desk, asked_by
from services.coordinator.api.runs import RunRequest, create_run
from services.coordinator.api.storable import check_storable
from services.coordinator.dashboard import run_form
from services.coordinator.dashboard.pages import HEADERS, Pages
from services.coordinator.dashboard.run_form import Typed, WrongFields
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.repositories import benchmarks, datasets
from services.coordinator.run_config import RunConfig
from shared.callers import needs
from shared.errors import ComdError, NotFound, Unprocessable
from shared.settings import read_toml
from shared.types import JsonObject

CONFIGS = Path(__file__).parents[3] / "configs"  # not there where the package alone is installed
PURPOSES = {"dataset": "instruct", "evaluation.dataset": "evaluation", "pretraining.dataset": "pretrain"}


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(
        prefix="/runs", include_in_schema=False, route_class=pages.route_class(), dependencies=[needs("run")]
    )

    @routes.get("/new")
    async def form(
        request: Request,
        like: Annotated[str, Query(max_length=100)] = "",
        preset: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        async with desk.engine.connect() as c:
            typed = await _begun_like(c, like) if like else _preset(preset)
            view = await _view(c, typed, {})
        return pages.answer("new_run.html", request, presets=_presets(), **view)

    @routes.post("/new")
    async def create(request: Request) -> Response:
        """To the new run's page; or the form again, with what is wrong beside each field."""
        form = await request.form()
        chosen = " ".join(name for name in form.getlist(run_form.BENCHMARKS) if isinstance(name, str))
        values = {key: value for key, value in form.items() if isinstance(value, str)}
        typed = Typed({**values, run_form.BENCHMARKS: chosen})
        try:
            run = await _create(desk, typed, asked_by(request))
        except WrongFields as wrong:
            async with desk.engine.connect() as c:
                view = await _view(c, typed, wrong.by_field)
            return pages.answer("new_run_form.html", request, 422, **view)
        if typed["start"]:
            await begin(desk, run["id"], None, asked_by(request), None)
        return Response(status_code=204, headers={**HEADERS, "hx-redirect": f"/runs/{run['id']}"})

    return routes


async def _create(desk: Desk, typed: Typed, cause: str) -> JsonObject:
    """By the same checks as `POST /v1/runs`."""
    asked = {"name": typed["name"].strip(), "dataset": typed["dataset"], "config": run_form.settings(typed)}
    _require(asked)
    try:
        check_storable(asked)
        return await create_run(desk, RunRequest.model_validate(asked), cause)
    except Unprocessable as refused:
        raise WrongFields(run_form.by_field(refused.message, refused.param, typed)) from refused


def _require(asked: JsonObject) -> None:
    wrong = {}
    if not 1 <= len(asked["name"]) <= 100:
        wrong["name"] = f"expected a name of 1 to 100 characters, got {len(asked['name'])}"
    if not asked["dataset"]:
        wrong["dataset"] = "choose the data set that the student learns from"
    if wrong:
        raise WrongFields(wrong)


async def _view(c: AsyncConnection, typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    ready = [row for row in await datasets.everything(c) if row["status"] == "ready"]
    choices = {
        key: [(row["name"], row["num_instructions"]) for row in ready if row["purpose"] == purpose]
        for key, purpose in PURPOSES.items()
    }
    return {
        "typed": typed,
        "errors": errors,
        "choices": choices,
        "benchmarks": await benchmarks.everything(c),
        "fields": run_form,
        "defaults": run_form.defaults(),
        "has_engines": typed.has_engines or any(field.key in errors for field in run_form.ENGINES),
    }


async def _begun_like(c: AsyncConnection, run_id: str) -> Typed:
    """With the engines that it has by now."""
    run = await run_of(c, run_id)
    config = run["config"]
    engines = {role: {**config[role], "engine": run["engines"].get(role)} for role in run_form.ROLES}
    changed = run_form.changed({**config, **engines})
    return run_form.typed_from(changed, name=f"{run['name'][:94]} again", dataset=run["dataset"])


def _presets() -> list[str]:
    """The files that hold a run's settings; beside them lie recipes of other things."""
    keys = RunConfig.model_fields.keys()
    return sorted(path.stem for path in CONFIGS.glob("*.toml") if read_toml(path).keys() <= keys)


def _preset(name: str) -> Typed:
    if name and name not in _presets():
        raise NotFound(f"there is no preset {name!r}; there are: {', '.join(_presets()) or 'none'}")
    try:
        return run_form.typed_from(read_toml(CONFIGS / f"{name}.toml") if name else {})
    except ComdError as error:
        raise NotFound(f"the preset {name} cannot be read: {error.message}") from error

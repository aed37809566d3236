"""`/runs/{id}/endpoints`: the engine behind each role, how it is just now, and the form to swap it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.changing import ENDED, RunChange, change_run
from services.coordinator.api.frame import Desk, asked_by
from services.coordinator.api.probing import ROLES as SWAPPED
from services.coordinator.dashboard.engine_health import ROLES, EngineHealth
from services.coordinator.dashboard.pages import HEADERS, Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.repositories import event_log, iterations
from shared.errors import ComdError, NotFound
from shared.settings import explain
from shared.types import EngineSpec, JsonObject

NUM_SWAPS = 50
FIELDS = ("base_url", "model", "kind", "json_schema", "key_name", "revision")
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]


class Swap(BaseModel):
    """The form as it was typed; `to` is the button."""

    base_url: Text = ""
    model: Text = ""
    kind: Text = ""
    json_schema: Text = ""
    key_name: Text = ""
    revision: Text = ""
    restart_assessment: bool = False
    to: Text = "own"

    def change(self, role: str) -> RunChange:
        """ValidationError where a field is not as it must be."""
        given = {name: value for name in FIELDS if (value := getattr(self, name).strip())}
        spec = None if self.to == "service" else EngineSpec.model_validate(given)
        return RunChange(endpoints={role: spec}, restart_assessment=self.restart_assessment)


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/runs", include_in_schema=False, route_class=pages.route_class())
    health = EngineHealth(desk.services)
    _add_health(routes, pages, desk, health)

    @routes.get("/{run_id}/endpoints")
    async def page(run_id: str, request: Request) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            swaps = await event_log.back(c, run["id"], event_log.LATEST, "engines_swapped", None, NUM_SWAPS)
            judge = await _judge_kept(c, run)
        roles = [_role(run, role, swaps) for role in ROLES]
        return pages.answer(
            "endpoints.html", request, run=run, roles=roles, swaps=swaps, judge=judge, **_shown(run)
        )

    @routes.post("/{run_id}/endpoints/{role}")
    async def swap(run_id: str, role: str, request: Request, typed: Annotated[Swap, Form()]) -> Response:
        """The page again with the new engine, or the form again with what was typed and what is wrong with it."""
        if role not in SWAPPED:
            raise NotFound(f"expected one of {', '.join(SWAPPED)}, got {role[:40]!r}")
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
        try:
            await change_run(desk, run["id"], typed.change(role), asked_by(request))
        except (ValidationError, ComdError) as error:
            status = error.status if isinstance(error, ComdError) else 422
            said = error.message if isinstance(error, ComdError) else explain(error)
            shown = {"name": role, "own": _own(run, role), "typed": typed.model_dump(), "error": said}
            return pages.answer("swap_form.html", request, status, run=run, role=shown, **_shown(run))
        return Response(status_code=204, headers={**HEADERS, "hx-refresh": "true"})

    return routes


def _add_health(routes: APIRouter, pages: Pages, desk: Desk, health: EngineHealth) -> None:
    """Parts that pages ask for by themselves, each by itself: a dead engine holds up nothing but its own."""

    @routes.get("/{run_id}/endpoints/{role}/health")
    async def health_of(run_id: str, role: str, request: Request, short: bool = False) -> Response:
        if role not in ROLES:
            raise NotFound(f"expected one of {', '.join(ROLES)}, got {role[:40]!r}")
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
        state = await health.of(role, _own(run, role))
        return pages.answer("engine_health.html", request, role=role, state=state, short=short)


def _own(run: JsonObject, role: str) -> EngineSpec | None:
    """The engine that the run has for itself in this role."""
    given = run["engines"].get(role)
    return None if given is None else EngineSpec.model_validate(given)


def _typed(run: JsonObject, role: str) -> JsonObject:
    """The form as it is at first: with the run's own engine."""
    given = run["engines"].get(role, {})
    return {**{name: given.get(name) for name in FIELDS}, "restart_assessment": False}


def _role(run: JsonObject, role: str, swaps: list[JsonObject]) -> JsonObject:
    """Whose engine it is, since when and why; and the form with it."""
    newest = next((one for one in swaps if role in one["detail"]["engines"]), None)
    return {
        "name": role,
        "typed": _typed(run, role),
        "own": _own(run, role),
        "since": newest["at"] if newest else run["created_at"],
        "cause": newest["cause"] if newest else None,
        "error": None,
    }


def _shown(run: JsonObject) -> JsonObject:
    """What the form may do."""
    return {"can_swap": run["status"] not in ENDED, "is_assessing": run["phase"] == "assessing"}


async def _judge_kept(c: AsyncConnection, run: JsonObject) -> str | None:
    """The judge of the assessment that goes on, where it is not the one that a next assessment would have."""
    newest = await iterations.newest(c, run["id"])
    if newest is None or newest["phase"] != "assessing" or newest["judge"] is None:
        return None
    kept = newest["judge"]
    return str(kept["revision"]) if kept.get("engine") != run["engines"].get("assessor") else None

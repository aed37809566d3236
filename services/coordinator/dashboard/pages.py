"""How a page is made: templates in, HTML with the safe headers out; and errors of page routes as pages too."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError

from services.coordinator.dashboard import wording
from services.coordinator.dashboard.assets import Assets
from services.coordinator.dashboard.headers import SAFE
from services.coordinator.database import is_passing
from shared import request_ids
from shared.errors import BadRequest, ComdError, EngineUnavailable
from shared.scopes import Caller

HEADERS = {**SAFE, "cache-control": "no-store"}
FILTERS = (
    wording.change,
    wording.count,
    wording.day,
    wording.decimal,
    wording.detail,
    wording.duration,
    wording.moment,
    wording.money,
    wording.score,
    wording.share,
    wording.shortened,
    wording.words,
)


class Pages:
    """The templates; every text in them is escaped."""

    def __init__(self, assets: Assets):
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update({one.__name__: one for one in FILTERS})
        self._templates.globals["asset"] = assets.url

    def text(self, name: str, request: Request, **values: Any) -> str:
        """The template filled; it knows who is looking and with which CSRF token."""
        caller: Caller | None = request.scope.get("comd_key")
        session = request.scope.get("comd_session")
        return self._templates.get_template(name).render(
            caller=caller,
            may_run=caller is not None and caller.may("run"),
            csrf_token=session.csrf_token if session else "",
            **values,
        )

    def answer(self, name: str, request: Request, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self.text(name, request, **values), status, headers=HEADERS)

    def route_class(self) -> type[APIRoute]:
        """Routes whose refusals are pages, or parts of one where a part was asked for."""
        pages = self

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                handle = super().get_route_handler()

                async def handle_or_say(request: Request) -> Response:
                    try:
                        return await handle(request)
                    except (ComdError, RequestValidationError, SQLAlchemyError) as error:
                        return pages._refusal(request, _told(error))

                return handle_or_say

        return PageRoute

    def _refusal(self, request: Request, error: ComdError) -> Response:
        is_part = "hx-request" in request.headers
        answer = self.answer(
            "alert.html" if is_part else "error.html",
            request,
            error.status,
            error=error,
            request_id=request_ids.current(),
        )
        answer.headers.update(error.headers)
        if is_part:
            answer.headers.update({"hx-retarget": "#alert", "hx-reswap": "innerHTML"})
        return answer


def _told(error: Exception) -> ComdError:
    if isinstance(error, ComdError):
        return error
    if isinstance(error, RequestValidationError):
        found = error.errors()[0]
        return BadRequest(f"{'.'.join(str(part) for part in found['loc'][1:])}: {found['msg']}"[:500])
    if is_passing(error):
        return EngineUnavailable("the database cannot be used just now", code="database_unavailable")
    raise error  # a mistake of ours, which the app's own handler logs

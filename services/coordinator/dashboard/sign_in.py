"""`/signin` and `/signout`: a key is shown once, and a cookie stands for it from then on."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.coordinator.dashboard.door import COOKIE, Door
from services.coordinator.dashboard.pages import HEADERS, Pages
from services.coordinator.dashboard.session import LASTS_S
from shared.gate import address
from shared.rates import Rates

LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def router(pages: Pages, door: Door, rates: Rates) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=pages.route_class())

    @routes.get("/signin")
    async def form(request: Request, to: Annotated[str, Query(max_length=1000)] = "/") -> Response:
        return pages.answer("sign_in.html", request, to=_local(to), is_wrong=False)

    @routes.post("/signin")
    async def sign_in(
        request: Request,
        key: Annotated[str, Form(max_length=1000)],
        to: Annotated[str, Form(max_length=1000)] = "/",
    ) -> Response:
        door.check_place(request.headers)
        token = await door.open_session(key.strip())
        if token is None:
            await rates.count_wrong_key(address(request.scope))
            return pages.answer("sign_in.html", request, 401, to=_local(to), is_wrong=True)
        answer = RedirectResponse(_local(to), 303, headers=HEADERS)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=LASTS_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @routes.post("/signout")
    async def sign_out(request: Request) -> Response:
        await door.caller(request.scope, request.headers)  # nobody else signs somebody out
        answer = Response(status_code=204, headers={**HEADERS, "hx-redirect": "/signin"})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return routes


def _local(path: str) -> str:
    """The path, where it leads to a page of ours."""
    return path if LOCAL_PATH.fullmatch(path) else "/"

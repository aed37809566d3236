"""`/runs/{id}/instructions`: pictures with question, answers and verdict, filtered and by pages; and one of them."""

import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk
from services.coordinator.api.views import InstructionId, life
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.merge import picture_of
from services.coordinator.repositories import browsing, iterations
from services.coordinator.repositories.browsing import CHOICES, Filter, Place, Show
from shared.errors import BadRequest
from shared.types import JsonObject

AT_ONCE = 24
SHOWN_AS: dict[Show, str] = {
    "hardest": "judged, the hardest first",
    "difficult": "difficult",
    "easy": "easy",
    "better": "student better than teacher",
    "unjudged": "unjudged",
    "all": "the whole pool",
}
assert SHOWN_AS.keys() == CHOICES.keys()
CURSOR = re.compile(r"(\d{1,19})(?:~(\d\.\d{1,20}(?:e-\d{1,2})?))?", re.ASCII)
Number = Annotated[str, Query(pattern=r"^[0-9]{0,9}$")]


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/runs", include_in_schema=False, route_class=pages.route_class())

    @routes.get("/{run_id}/instructions")
    async def page(
        run_id: str,
        request: Request,
        iteration: Number = "",
        show: Annotated[str, Query(max_length=20)] = "",
        type: Annotated[str, Query(max_length=200)] = "",
        words: Annotated[str, Query(max_length=200)] = "",
        after: Annotated[str, Query(max_length=60)] = "",
    ) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            wanted = await _filter(c, run["id"], iteration, show, type, words)
            rows = await browsing.page(
                c, run["id"], wanted, run["config"]["tau"], _place(after, wanted), AT_ONCE + 1
            )
            cards = await _with_answers(c, run["id"], wanted, rows[:AT_ONCE])
            rounds = await iterations.everything(c, run["id"])
            task_types = await browsing.task_types(c, run["id"])
        more = _next_page(wanted, rows[AT_ONCE - 1]) if len(rows) > AT_ONCE else None
        return pages.answer(
            "instructions.html",
            request,
            run=run,
            wanted=wanted,
            shows=SHOWN_AS,
            cards=cards,
            next_page=more,
            first_page=f"?{_query(wanted)}" if after else None,
            iterations=[row["number"] for row in rounds if row["number"]],
            task_types=task_types,
        )

    @routes.get("/{run_id}/instructions/{instruction_id}")
    async def one(run_id: str, instruction_id: InstructionId, request: Request) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            found = await life(c, run["id"], int(instruction_id))
        return pages.answer("instruction.html", request, run=run, one=found, students=_students(found))

    return routes


async def _filter(
    c: AsyncConnection, run_id: str, iteration: str, show: str, task_type: str, words: str
) -> Filter:
    """What was asked for; else the newest iteration that has verdicts, from its hardest instruction on."""
    judged = await browsing.newest_judged(c, run_id)
    newest = await iterations.newest(c, run_id)
    number = int(iteration) if iteration else judged or max(1, newest["number"] if newest else 1)
    default: Show = "hardest" if judged is not None and number <= judged else "all"
    chosen = next((one for one in SHOWN_AS if one == show), None)
    if show and chosen is None:
        raise BadRequest(f"show: expected one of {', '.join(SHOWN_AS)}, got {show!r}", param="show")
    return Filter(number, chosen or default, task_type or None, words.strip() or None)


def _place(cursor: str, wanted: Filter) -> Place | None:
    if not cursor:
        return None
    match = CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) >= 2**63 or wanted.is_by_difficulty != (match[2] is not None):
        raise BadRequest(
            f"after: expected the place of an earlier page's link, got {cursor!r}", param="after"
        )
    return Place(int(match[1]), float(match[2]) if match[2] else None)


def _next_page(wanted: Filter, last: JsonObject) -> str:
    place = f"{last['id']}~{last['difficulty']}" if wanted.is_by_difficulty else str(last["id"])
    return f"?{_query(wanted, after=place)}"


def _query(wanted: Filter, **more: str) -> str:
    asked = {
        "iteration": str(wanted.iteration),
        "show": wanted.show,
        "type": wanted.task_type or "",
        "words": wanted.words or "",
    }
    return urlencode({name: value for name, value in {**asked, **more}.items() if value})


async def _with_answers(
    c: AsyncConnection, run_id: str, wanted: Filter, rows: list[JsonObject]
) -> list[JsonObject]:
    answers = await browsing.answers(c, run_id, [row["id"] for row in rows], wanted.iteration)
    return [{**row, "picture": picture_of(row["image"]), "answers": answers[row["id"]]} for row in rows]


def _students(found: JsonObject) -> list[JsonObject]:
    """The student's answer of each iteration with the verdict on it; either may be missing."""
    answers = {row["iteration"]: row for row in found["answers"] if row["role"] == "student"}
    verdicts = {row["iteration"]: row for row in found["verdicts"]}
    numbers = sorted(number for number in {*answers, *verdicts} if number is not None)
    return [
        {"number": number, "answer": answers.get(number), "verdict": verdicts.get(number)}
        for number in numbers
    ]

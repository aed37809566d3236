"""`/runs/{id}/compare`: two assessments beside each other, and the instructions that flipped between them.

Of one run by default; with `other`, the second is an iteration of another run.
"""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.flips import pair_of, with_answers
from services.coordinator.api.frame import Desk
from services.coordinator.dashboard.compare import names_of
from services.coordinator.dashboard.compare_charts import Names, distributions
from services.coordinator.dashboard.findings import Findings
from services.coordinator.dashboard.instructions import Number
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.repositories import browsing, flips, iterations
from services.coordinator.repositories.flips import Kind, Pair
from shared.errors import BadRequest, NotFound
from shared.types import JsonObject

AT_ONCE = 24
KINDS: dict[Kind, str] = {"learnt": "learnt: now easy", "forgotten": "forgotten: now difficult"}
Run = Annotated[str, Query(max_length=100)]
After = Annotated[str, Query(pattern=r"^[0-9]{0,19}$")]


@dataclass(frozen=True)
class Sides:
    """Which iteration of which run stands beside which, and what may be chosen instead."""

    run: JsonObject
    other: JsonObject
    before: int
    after: int
    judged: list[int]
    judged_of_other: list[int]

    @property
    def are_runs(self) -> bool:
        return bool(self.run["id"] != self.other["id"])

    @property
    def names(self) -> Names:
        if not self.are_runs:
            return f"iteration {self.before}", f"iteration {self.after}"
        a, b = names_of(self.run, self.other)
        return f"{a}, iteration {self.before}", f"{b}, iteration {self.after}"

    def query(self, **more: str) -> str:
        other = {"other": self.other["id"]} if self.are_runs else {}
        return urlencode(
            {"from": self.before, "to": self.after, **other, **{k: v for k, v in more.items() if v}}
        )

    async def pair(self, c: AsyncConnection) -> Pair:
        return await pair_of(c, self.run["id"], self.before, self.other["id"], self.after)


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/runs", include_in_schema=False, route_class=pages.route_class())
    known = Findings()
    _add_page(routes, pages, desk, known)
    _add_sums(routes, pages, desk, known)
    return routes


def _add_page(routes: APIRouter, pages: Pages, desk: Desk, known: Findings) -> None:
    @routes.get("/{run_id}/compare")
    async def page(
        run_id: str,
        request: Request,
        before: Annotated[Number, Query(alias="from")] = "",
        to: Number = "",
        other: Run = "",
        kind: Annotated[str, Query(max_length=20)] = "",
        after: After = "",
    ) -> Response:
        chosen = _kind(kind)
        async with desk.engine.connect() as c:
            sides = await _sides(c, run_id, before, to, other)
            if sides is None:
                run = await run_of(c, run_id)
                return pages.answer("flips_none.html", request, run=run, other=other)
            pair = await sides.pair(c)
            rows = []
            if not known.never_flipped(pair, chosen):
                rows = await flips.page(c, pair, chosen, int(after or -1), AT_ONCE + 1)
            cards = await with_answers(c, pair, rows[:AT_ONCE], browsing.SHOWN_CHARS + 1)
        more = sides.query(kind=kind, after=str(rows[AT_ONCE - 1]["id"])) if len(rows) > AT_ONCE else None
        return pages.answer(
            "flips.html",
            request,
            run=sides.run,
            sides=sides,
            pair=pair,
            cards=cards,
            kind=chosen,
            kinds=KINDS,
            next_page=more and f"?{more}",
            first_page=f"?{sides.query(kind=kind)}" if after else None,
        )


def _add_sums(routes: APIRouter, pages: Pages, desk: Desk, known: Findings) -> None:
    """What the page asks for by itself: it takes a look at every verdict of both."""

    @routes.get("/{run_id}/compare/sums")
    async def sums(
        run_id: str,
        request: Request,
        before: Annotated[Number, Query(alias="from")] = "",
        to: Number = "",
        other: Run = "",
    ) -> Response:
        async with desk.engine.connect() as c:
            sides = await _sides(c, run_id, before, to, other)
            if sides is None:
                raise NotFound("there are no two assessments to compare yet")
            both = [
                (run, await _row(c, run, number))
                for run, number in ((sides.run, sides.before), (sides.other, sides.after))
            ]
            counts = await known.changes(c, await sides.pair(c), [row for _, row in both])
            found = [await known.of_iteration(c, run, row) for run, row in both]
        charts = distributions(sides.names, (found[0].sums, found[1].sums))
        return pages.answer("flips_sums.html", request, sides=sides, counts=counts, charts=charts)


def _kind(asked: str) -> Kind | None:
    found = next((kind for kind in KINDS if kind == asked), None)
    if asked and found is None:
        raise BadRequest(f"kind: expected one of {', '.join(KINDS)}, got {asked!r}", param="kind")
    return found


async def _sides(c: AsyncConnection, run_id: str, before: str, to: str, other: str) -> Sides | None:
    """What was asked for; else the last two that were assessed, or the last that both runs have. None: neither."""
    run = await run_of(c, run_id)
    another = await run_of(c, other) if other else run
    ours, theirs = await flips.assessed(c, run["id"]), await flips.assessed(c, another["id"])
    default = _default(ours, theirs, are_runs=run["id"] != another["id"])
    if default is None and not (before and to):
        return None
    first, second = default or (0, 0)
    return Sides(run, another, int(before or first), int(to or second), ours, theirs)


def _default(ours: list[int], theirs: list[int], *, are_runs: bool) -> tuple[int, int] | None:
    if are_runs:
        common = sorted({*ours} & {*theirs})
        return (common[-1], common[-1]) if common else None
    return (ours[-2], ours[-1]) if len(ours) > 1 else None


async def _row(c: AsyncConnection, run: JsonObject, number: int) -> JsonObject:
    row = await iterations.get(c, run["id"], number)
    assert row is not None, "the pair was found"
    return row

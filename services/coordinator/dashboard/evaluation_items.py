"""`/evaluations/{id}/items`: the questions with the right and the given answer, filtered and by pages; and one."""

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response

from services.coordinator.api.evaluation_shapes import Outcome
from services.coordinator.api.evaluations import evaluation_or_404, item_view
from services.coordinator.api.frame import Desk
from services.coordinator.benchmarks.items import COLUMNS, LETTERS
from services.coordinator.dashboard.evaluation_page import OUTCOMES
from services.coordinator.dashboard.evaluations import shown
from services.coordinator.dashboard.flips import After
from services.coordinator.dashboard.pages import Pages
from services.coordinator.repositories import evaluations
from shared.errors import BadRequest, NotFound
from shared.types import JsonObject

AT_ONCE = 24
ItemId = Annotated[int, Path(ge=1, le=2**31)]


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/evaluations", include_in_schema=False, route_class=pages.route_class())

    @routes.get("/{evaluation_id}/items")
    async def page(
        evaluation_id: str,
        request: Request,
        outcome: Annotated[str, Query(max_length=20)] = "",
        group: Annotated[str, Query(max_length=60)] = "",
        after: After = "",
    ) -> Response:
        if outcome and outcome not in get_args(Outcome):
            raise BadRequest(
                f"outcome: expected one of {', '.join(OUTCOMES)}, got {outcome!r}", param="outcome"
            )
        async with desk.engine.connect() as c:
            one = await evaluation_or_404(c, evaluation_id)
            rows = await evaluations.items(
                c,
                evaluation_id,
                outcome=outcome or None,
                group=group or None,
                after=int(after or 0),
                limit=AT_ONCE + 1,
            )
            counts = await evaluations.counts(c, evaluation_id)
        asked = {"outcome": outcome, "group": group}
        behind = str(rows[AT_ONCE - 1]["id"]) if len(rows) > AT_ONCE else ""
        return pages.answer(
            "evaluation_items.html",
            request,
            one=shown(one),
            items=[_view(row) for row in rows[:AT_ONCE]],
            wanted=asked,
            outcomes=[(name, said, counts[name]) for name, said in OUTCOMES.items() if counts.get(name)],
            groups=COLUMNS[one["kind"]][:-1],
            next_page=f"?{_query(asked, behind)}" if behind else None,
            first_page=f"?{_query(asked)}" if after else None,
        )

    @routes.get("/{evaluation_id}/items/{item_id}")
    async def item(evaluation_id: str, item_id: ItemId, request: Request) -> Response:
        async with desk.engine.connect() as c:
            one = await evaluation_or_404(c, evaluation_id)
            rows = await evaluations.items(c, evaluation_id, after=item_id - 1, limit=1)
        if not rows or rows[0]["id"] != item_id:
            raise NotFound(f"this evaluation has no question {item_id}")
        return pages.answer("evaluation_item.html", request, one=shown(one), item=_view(rows[0]))

    return routes


def _view(row: JsonObject) -> JsonObject:
    """The question with its choices as they are marked."""
    view = item_view(row)
    likelihoods = view["likelihoods"] or [None] * len(view["choices"])
    view["marked"] = [
        {
            "letter": LETTERS[at],
            "text": text,
            "is_right": at == view["answer"],
            "is_given": at == view["prediction"],
            "likelihood": likelihood,
        }
        for at, (text, likelihood) in enumerate(zip(view["choices"], likelihoods, strict=False))
    ]
    return view


def _query(asked: dict[str, str], after: str = "") -> str:
    return urlencode({name: value for name, value in {**asked, "after": after}.items() if value})

"""The dashboard's routes, put together. In: the desk and the door. Out: routers for the coordinator's app."""

from collections.abc import Iterator

from fastapi import APIRouter

from services.coordinator.api.frame import Desk
from services.coordinator.dashboard import (
    compare,
    endpoints,
    evaluation_items,
    evaluation_page,
    evaluations,
    events,
    failures,
    flips,
    instructions,
    new_run,
    run_list,
    run_page,
    sign_in,
)
from services.coordinator.dashboard.assets import Assets
from services.coordinator.dashboard.door import Door
from services.coordinator.dashboard.pages import Pages
from shared.rates import Rates


def routers(desk: Desk, door: Door, rates: Rates) -> Iterator[APIRouter]:
    """A page more is a module with a `router`, and a line here."""
    assets = Assets()
    pages = Pages(assets)
    yield assets.router()
    yield sign_in.router(pages, door, rates)
    yield run_list.router(pages, desk)
    yield new_run.router(pages, desk)  # before those of a run, whose id could be "new"
    yield run_page.router(pages, desk, door)
    yield instructions.router(pages, desk)
    yield endpoints.router(pages, desk)
    yield failures.router(pages, desk)
    yield events.router(pages, desk)
    yield compare.router(pages, desk)
    yield flips.router(pages, desk)
    yield evaluations.router(pages, desk)  # before those of one, whose id could be "compare"
    yield evaluation_page.router(pages, desk)
    yield evaluation_items.router(pages, desk)

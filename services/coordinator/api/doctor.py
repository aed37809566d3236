"""`GET /v1/doctor`: what the coordinator finds of the stores, of the services, and of its own machine."""

from fastapi import APIRouter, Response

from services.coordinator.api.frame import Desk, answer
from services.coordinator.api.shapes import Findings
from services.coordinator.doctor.everything import look_at_everything
from services.coordinator.queue import Queue
from shared.keys import Keys
from shared.service import VERSION


def router(desk: Desk, keys: Keys, queue: Queue) -> APIRouter:
    routes = APIRouter(prefix="/v1/doctor", tags=["doctor"])

    @routes.get("", response_model=Findings)
    async def look() -> Response:
        """Each finding is `ok`, a `warning` or a `problem`, and then says what to do."""
        found = await look_at_everything(desk.settings, keys, desk.engine, queue)
        return answer({"object": "list", "version": VERSION, "data": [one.as_json() for one in found]})

    return routes

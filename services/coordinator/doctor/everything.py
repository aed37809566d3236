"""All that a coordinator can see of itself and of what it talks to, looked at side by side."""

import asyncio
import tempfile
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.doctor.services import look_at_services
from services.coordinator.doctor.stores import look_at_database, look_at_redis
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from shared.finding import Finding, disk
from shared.keys import Keys


async def look_at_everything(
    settings: CoordinatorSettings, keys: Keys, engine: AsyncEngine, queue: Queue
) -> list[Finding]:
    """In the order in which a person should mend things."""
    found = await asyncio.gather(
        look_at_database(engine), look_at_redis(queue), look_at_services(settings, keys)
    )
    return [*(finding for findings in found for finding in findings), *disks(settings)]


def disks(settings: CoordinatorSettings) -> list[Finding]:
    """Of the folders that the coordinator writes to; a store behind a URL is not on a disk of ours."""
    found = [disk("temporary disk", Path(tempfile.gettempdir()))]
    if "://" not in settings.image_store:
        found.insert(0, disk("image store disk", Path(settings.image_store)))
    return found

"""What can be seen without a coordinator: the services and stores where this process's environment says they are."""

from services.coordinator.database import connect
from services.coordinator.doctor.services import look_at_services
from services.coordinator.doctor.stores import look_at_database, look_at_redis
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from shared.environment import told
from shared.finding import Finding
from shared.keys import Keys


async def look_from_here(keys: Keys) -> list[Finding]:
    """The services, and of the stores those that the environment names."""
    settings = CoordinatorSettings()
    found = await look_at_services(settings, keys)
    if told("DATABASE_URL"):
        engine = connect(settings.database_url)
        found += [one for one in await look_at_database(engine) if one.what != "leader"]
        await engine.dispose()
    if told("REDIS_URL"):
        queue = Queue(settings.redis_url, settings.queue_name)
        found += await look_at_redis(queue)
        await queue.close()
    return found

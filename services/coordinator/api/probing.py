"""Probes the engine that a person wants behind a role, the way by which it will be asked."""

import asyncio

from services.coordinator.clients import ItemFailed, Services, Unreadable, Waiting
from shared.errors import Unprocessable
from shared.types import EngineSpec

ROLES = ("teacher", "assessor", "augmentor")
TIMEOUT_S = 60.0


async def check_engine(services: Services, role: str, spec: EngineSpec | None) -> None:
    """Unprocessable where it is not allowed, cannot be reached, lacks the model or refuses its key."""
    if role not in ROLES:
        raise Unprocessable(f"endpoints: unknown role {role!r}; allowed are {', '.join(ROLES)}")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            identity = await services.identity(role, spec, fresh=True)
            await services.try_out(role, identity.model, spec)
    except TimeoutError as error:
        raise Unprocessable(
            f"{role}: the engine gave no answer within {TIMEOUT_S:g} s", code="engine_refused"
        ) from error
    except (Waiting, ItemFailed, Unreadable) as error:
        raise Unprocessable(f"{role}: {error.message}", code="engine_refused") from error

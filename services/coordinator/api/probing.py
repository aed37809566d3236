"""Probes an engine that a person wants behind a role, through the role's own service."""

from services.coordinator.clients import ItemFailed, Services, Unreadable, Waiting
from shared.errors import Unprocessable
from shared.types import EngineSpec

ROLES = ("teacher", "assessor", "augmentor")


async def check_engine(services: Services, role: str, spec: EngineSpec) -> None:
    """Unprocessable where it is not allowed, cannot be reached, or does not list the model."""
    if role not in ROLES:
        raise Unprocessable(f"endpoints: unknown role {role!r}; allowed are {', '.join(ROLES)}")
    try:
        listed = await services.models(role, spec)
        await services.identity(role, spec, fresh=True)
    except (Waiting, ItemFailed, Unreadable) as error:
        raise Unprocessable(f"{role}: {error.message}", code="engine_refused") from error
    if spec.model not in listed:
        raise Unprocessable(
            f"{role}: the engine at {spec.base_url} does not list {spec.model!r}; "
            f"it has {', '.join(sorted(listed)) or 'none'}",
            code="model_not_found",
        )

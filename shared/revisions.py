"""Which model stands behind each engine's URL, as the engine's list said when it was last looked at.

In: an EngineSpec. Out: the model's revision, or EngineUnavailable where another one came in its place.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.engine import Notice, models
from shared.engine.pool import PooledClient
from shared.errors import BadRequest, ComdError, EngineUnavailable, NotFound, RoleBusy
from shared.identity import engine_revision
from shared.types import EngineSpec

KEPT_S = 30.0
Key = tuple[str, str]  # base_url and model
Result = TypeVar("Result")


class Revisions:
    """What one process knows of its engines; kept for a while, or until it is in doubt."""

    def __init__(self, http: PooledClient):
        self._http = http
        self._known: dict[Key, tuple[float, str]] = {}
        self._looking: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, spec: EngineSpec) -> str:
        """The revision. NotFound where the engine does not list the model."""
        if spec.revision:
            return spec.revision
        key = spec.base_url, spec.model
        if (known := self._fresh(key)) is not None:
            return known
        async with self._looking[key]:  # one look for all who wait for it
            if (known := self._fresh(key)) is None:
                known = await self._look(spec)
                self._known[key] = (time.monotonic(), known)
        return known

    async def answered(
        self, spec: EngineSpec, believed: str | None, call: Callable[[Notice], Awaitable[Result]]
    ) -> Result:
        """The call's answer; EngineUnavailable where it may be another model's than the `believed` revision's."""
        if believed is not None:
            await self.confirm(spec, believed)  # before it costs anything
        try:
            answered = await call(lambda: self._doubt(spec))
        except (BadRequest, RoleBusy):  # the engine is there and refused this request, or was not asked
            raise
        except ComdError:
            self._doubt(spec)
            raise
        if believed is not None:
            await self.confirm(spec, believed)
        return answered

    async def confirm(self, spec: EngineSpec, believed: str) -> None:
        """EngineUnavailable where the engine has another model now."""
        if await self.of(spec) == believed:
            return
        self._doubt(spec)  # what is known here may be older than what the caller knows
        if (now := await self.of(spec)) != believed:
            raise EngineUnavailable(
                f"{now} answers in the place of {believed}; bring that one back, or begin anew with this one"
            )

    def _doubt(self, spec: EngineSpec) -> None:
        """The engine was away: it may come back, or have come back, with another model."""
        self._known.pop((spec.base_url, spec.model), None)

    def _fresh(self, key: Key) -> str | None:
        since, revision = self._known.get(key, (float("-inf"), ""))
        return revision if time.monotonic() - since < KEPT_S else None

    async def _look(self, spec: EngineSpec) -> str:
        listed = {str(model.get("id")): model for model in await models(self._http, spec)}
        if spec.model not in listed:
            raise NotFound(
                f"model {spec.model!r} is not listed by the engine at {spec.base_url}; "
                f"it has {', '.join(sorted(listed)) or 'none'}",
                code="model_not_found",
            )
        return engine_revision(spec.base_url, spec.model, listed[spec.model])

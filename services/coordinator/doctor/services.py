"""The services that the coordinator calls, and the engines behind them, as `doctor` looks at them.

In: URLs and the internal key. Out: findings: is it there, ready, of this version, of our keys, and right in time.
"""

import asyncio
import time
from email.utils import parsedate_to_datetime

import httpx

from services.coordinator.settings import CoordinatorSettings
from shared.finding import Finding, clock, ok, problem, warning
from shared.keys import Keys
from shared.service import VERSION

TIMEOUT_S = 8.0
ENGINE_TIMEOUT_S = 15.0  # a service asks its engine before it answers


async def look_at_services(settings: CoordinatorSettings, keys: Keys) -> list[Finding]:
    headers = {"authorization": f"Bearer {keys.internal}"}
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as http:
        looks = [
            _look(http, name, getattr(settings, f"{name}_url").rstrip("/"), headers)
            for name in ("teacher", "assessor", "augmentor", "trainer")
        ]
        return [finding for findings in await asyncio.gather(*looks) for finding in findings]


async def _look(http: httpx.AsyncClient, name: str, url: str, headers: dict[str, str]) -> list[Finding]:
    try:
        health = await http.get(f"{url}/health")
        of_clock = _clock(name, health)  # now: what follows may take long
        service, version = _who(health)
        if service is None and name == "teacher":
            return [ok(name, f"{url}: a server of another kind, asked without a prompt of ours")]
        if service is None or (service != name and name != "trainer"):
            todo = f"correct COMD_COORDINATOR_{name.upper()}_URL, or start the {name} there"
            return [problem(name, f"{url}: another program answers ({service or 'not one of ours'})", todo)]
        return [
            await _engine(http, name, url, headers) or await _ready(http, name, url, version),
            *_version(name, version),
            *of_clock,
        ]
    except httpx.HTTPError as error:
        said = f"{url} cannot be reached ({str(error)[:200] or type(error).__name__})"
        todo = f"start it (python -m services.{name}), or correct COMD_COORDINATOR_{name.upper()}_URL"
        return [problem(name, said, todo)]


def _who(health: httpx.Response) -> tuple[str | None, str | None]:
    try:
        said = health.json()
        return said["service"], said.get("version")
    except (ValueError, KeyError, TypeError):
        return None, None


async def _engine(http: httpx.AsyncClient, name: str, url: str, headers: dict[str, str]) -> Finding | None:
    """What is wrong with our key there, or with the engine, which lists its models anew for this."""
    path = "/metrics" if name == "trainer" else "/v1/models"  # the trainer's engine may rest between jobs
    try:
        models = await http.get(f"{url}{path}", headers=headers, timeout=ENGINE_TIMEOUT_S)
    except httpx.TimeoutException:
        todo = (
            "look at the engine, which may be overloaded or stopped; its address is in the service's settings"
        )
        return problem(name, f"{url}: its engine gives no answer within {ENGINE_TIMEOUT_S:g} s", todo)
    if models.status_code == 401:
        todo = "give both the same COMD_INTERNAL_KEY, or the same COMD_HOME, and start them anew"
        return problem(name, f"{url} does not know the internal key of this coordinator", todo)
    if not models.is_success:
        todo = "start its engine, or correct the engine's address and key in the service's settings"
        return problem(name, f"{url} cannot use its engine: {models.text[:300]}", todo)
    return None


async def _ready(http: httpx.AsyncClient, name: str, url: str, version: str | None) -> Finding:
    state = (await http.get(f"{url}/ready", timeout=ENGINE_TIMEOUT_S)).json()
    if state["ready"]:
        return ok(name, f"{url}: ready, version {version or 'unknown'}")
    todo = "wait where it is starting; else mend what it says"
    return problem(name, f"{url} is not ready: {str(state['reason'])[:300]}", todo)


def _version(name: str, version: str | None) -> list[Finding]:
    if version == VERSION:
        return []
    todo = "install the same version everywhere: contracts between services change together"
    return [warning(name, f"is of version {version or 'unknown'}, the coordinator of {VERSION}", todo)]


def _clock(name: str, health: httpx.Response) -> list[Finding]:
    """Only where it is wrong; HTTP's dates have whole seconds."""
    if "date" not in health.headers:
        return []
    ahead_s = parsedate_to_datetime(health.headers["date"]).timestamp() - time.time()
    finding = clock(f"{name} clock", ahead_s, "the coordinator's")
    return [] if finding.level == "ok" else [finding]

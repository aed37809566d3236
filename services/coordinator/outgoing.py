"""HTTP between the coordinator and the services, under the internal key, and what a call in vain means.

In: a request. Out: the reply's JSON object, or Waiting (ask again later, for ever), Unreadable (ask again a few
times) or ItemFailed (this one item cannot be done).
"""

import time
from typing import Any, Literal
from urllib.parse import quote

import httpx
import orjson

from shared import logs, request_ids
from shared.engine import pooled_client
from shared.errors import ComdError
from shared.headers import ENGINE_SECONDS_HEADER
from shared.keys import Keys
from shared.types import JsonObject

WAIT_STATUSES = {401, 408, 429, 503, 504}
WAIT_CODES = {"engine_unavailable", "checkpoint_not_loaded", "bad_configuration", "model_not_found"}
WaitCause = Literal["busy", "down", "other"]
CAUSES: dict[int, WaitCause] = {429: "busy", 503: "down"}

log = logs.get(__name__)


class Waiting(ComdError):
    """Nobody can answer just now; the message is shown to the person who watches the run.

    `cause`: a "busy" service and one that is "down" are so for every caller, "other" may be this call's alone.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0, cause: WaitCause = "other"):
        super().__init__(message)
        self.retry_after_s, self.cause = retry_after_s, cause


class Unreadable(ComdError):
    """An answer came, but not in the protocol's form."""


class ItemFailed(ComdError):
    """The service refuses this item, and would refuse it again."""


class Http:
    """One pool of connections to our own services, under the internal key."""

    def __init__(self, keys: Keys, timeout_s: float):
        self._client = pooled_client(timeout_s)
        self._headers = {"authorization": f"Bearer {keys.internal}", "accept-encoding": "identity"}

    async def close(self) -> None:
        await self._client.aclose()

    async def request(self, method: str, url: str, body: Any = None, **options: Any) -> JsonObject:
        """The reply's JSON object, or one of this module's three errors."""
        return (await self.timed_request(method, url, body, **options))[0]

    async def timed_request(
        self, method: str, url: str, body: Any = None, **options: Any
    ) -> tuple[JsonObject, float]:
        """The same, and the seconds that an engine took: as the service says, else by our own clock."""
        headers = {**request_ids.headers(), **options.pop("headers", {})}
        if body is not None:
            options["content"] = body if isinstance(body, bytes) else orjson.dumps(body)
            headers = {"content-type": "application/json", **headers}
        started = time.monotonic()
        try:
            response = await self._reply(method, url, {**self._headers, **headers}, options)
        except (httpx.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise Waiting(f"{url} cannot be reached ({said})", cause="down") from error
        if not response.is_success:
            refusal = _refusal(url, response)
            if not isinstance(refusal, Waiting):  # waiting shows on the run, and would fill the log
                log.warning("call_refused", url=url, status=response.status_code, reason=refusal.message)
            raise refusal
        try:
            reply = orjson.loads(response.content or b"{}")
        except orjson.JSONDecodeError as error:
            raise Unreadable(f"{url}: expected JSON, got {response.text[:200]!r}") from error
        if not isinstance(reply, dict):
            raise Unreadable(f"{url}: expected a JSON object, got {response.text[:200]!r}")
        return reply, _engine_seconds(response, time.monotonic() - started)

    async def readiness(self, url: str) -> tuple[str | None, float]:
        """What a service of ours says that it lacks, None where it is ready; and the seconds that it took to say so."""
        started = time.monotonic()
        try:
            response = await self._reply("GET", f"{url}/ready", self._headers, {})
            said = orjson.loads(response.content)["reason"]
        except (httpx.HTTPError, OSError) as error:
            raise Waiting(
                f"{url} cannot be reached ({str(error) or type(error).__name__})", cause="down"
            ) from error
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Unreadable(
                f"{url}/ready: expected ready and reason, got {response.text[:200]!r}"
            ) from error
        return (None if response.is_success else str(said)), time.monotonic() - started

    async def _reply(self, method: str, url: str, headers: dict[str, str], options: Any) -> httpx.Response:
        """The whole reply; a file goes the long way, all else past what httpx merges and copies for each request."""
        if "files" in options:
            return await self._client.request(method, url, headers=headers, **options)
        response = await self._client.send_bare(method, url, headers, options.get("content"))
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response


def path(*parts: str) -> str:
    """A URL's path of parts that come from elsewhere."""
    return "/".join(quote(part, safe="") for part in parts)


def _refusal(url: str, response: httpx.Response) -> ComdError:
    message, code = f"{url} answered {response.status_code}: {response.text[:300]}", ""
    try:
        error = orjson.loads(response.content)["error"]
        message, code = str(error["message"]), str(error.get("code"))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    return sort_refusal(response.status_code, code, message, response.headers.get("retry-after"))


def sorted_error(error: ComdError) -> ComdError:
    """An error of shared.engine, as this module's."""
    return sort_refusal(error.status, error.code, error.message, error.headers.get("retry-after"))


def sort_refusal(status: int, code: str, message: str, retry_after: str | None) -> ComdError:
    if status in WAIT_STATUSES or code in WAIT_CODES:
        return Waiting(message, _seconds(retry_after), CAUSES.get(status, "other"))
    return Unreadable(message) if status >= 500 else ItemFailed(message)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1.0), 0.05), 30.0)
    except ValueError:
        return 1.0


def _engine_seconds(response: httpx.Response, measured: float) -> float:
    try:
        said = float(response.headers.get(ENGINE_SECONDS_HEADER, measured))
    except ValueError:
        return measured
    return said if 0 <= said < float("inf") else measured

"""One of our services over HTTP. In: requests. Out: its JSON; its errors come out as ComdError with its message.

A service that is away is EngineUnavailable, with what to do about it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from shared.errors import ComdError, EngineUnavailable

Json = dict[str, Any]
TIMEOUT_S = 600.0


class Service:
    """A connection; `name` is what messages call the service, `hint` what to do where it cannot be reached."""

    def __init__(
        self, name: str, url: str, key: str, hint: str, transport: httpx.BaseTransport | None = None
    ):
        self.name, self.url, self.hint = name, url, hint
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **more: Any) -> Json:
        return dict(self.send(method, path, **more).json())

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"the {self.name} at {self.url} cannot be reached ({error}); {self.hint}"
            ) from error
        if reply.status_code >= 400:
            raise self._error(reply)
        return reply

    @contextmanager
    def stream(self, what: str, path: str, query: Json) -> Iterator[httpx.Response]:
        """A reply to be read in parts; `what` it is, for the message where it breaks off."""
        try:
            with self._http.stream("GET", path, params=query) as reply:
                if reply.status_code >= 400:
                    reply.read()
                    raise self._error(reply)
                yield reply
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"the {what} from {self.url} broke off ({error}); ask for it again"
            ) from error

    def _error(self, reply: httpx.Response) -> ComdError:
        try:
            said = reply.json()["error"]
            if (
                reply.status_code == 503
            ):  # it has lost its database for now, say; whoever can wait may ask again
                return EngineUnavailable(str(said["message"]), code=str(said.get("code")))
            return ComdError(str(said["message"]), code=str(said.get("code")))
        except (ValueError, KeyError, TypeError):
            return ComdError(f"the {self.name} answered {reply.status_code}: {reply.text[:200]}")

# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""A connection to one of our services. In: requests. Out: its answers as models; its errors as ComdError.

What may be repeated is repeated where the service is away for a moment or asks to wait.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from comd.client.replies import Model, error_of, json_object, parsed
from comd.client.retries import pause_s
from comd.client.service import Service
from shared.errors import ComdError, EngineUnavailable
from shared.types import JsonObject

TIMEOUT_S = 600.0


class Link:
    """`retries` is how often a request is repeated; `transport` and `sleep` are for tests."""

    def __init__(
        self,
        service: Service,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.service = service
        self.sleep = sleep
        self._retries = retries
        self._http = httpx.Client(
            base_url=service.url,
            headers=service.headers(),
            timeout=TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, shape: type[Model], path: str, **query: Any) -> Model:
        return parsed(self.service, shape, self.send("GET", path, params=query))

    def post(self, shape: type[Model], path: str, body: Any = None, **more: Any) -> Model:
        return parsed(self.service, shape, self.send("POST", path, json=body, **more))

    def patch(self, shape: type[Model], path: str, body: Any) -> Model:
        return parsed(self.service, shape, self.send("PATCH", path, json=body))

    def delete(self, shape: type[Model], path: str) -> Model:
        return parsed(self.service, shape, self.send("DELETE", path))

    def ask(self, method: str, path: str, **more: Any) -> JsonObject:
        """An answer without a model of its own, which is a JSON object."""
        reply = self.send(method, path, **more)
        return json_object(self.service, reply)

    def send(self, method: str, path: str, *, harmless: bool = False, **more: Any) -> httpx.Response:
        """A reply that is a success. `harmless`: sent twice it does what it does sent once, as every GET does."""
        attempt = 0
        while True:
            try:
                return self._send(method, path, **more)
            except ComdError as error:
                repeatable = harmless or method == "GET"
                pause = pause_s(attempt, error, self._retries) if repeatable else None
                if pause is None:
                    raise
            attempt += 1
            self.sleep(pause)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        if not reply.is_success:
            raise error_of(self.service, reply)
        return reply

    @contextmanager
    def stream(
        self, what: str, path: str, timeout_s: float = TIMEOUT_S, **query: Any
    ) -> Iterator[httpx.Response]:
        """A reply to be read in parts; `what` it is, for the message where it breaks off."""
        began = False
        try:
            with self._http.stream("GET", path, params=query, timeout=timeout_s) as reply:
                if not reply.is_success:
                    reply.read()
                    raise error_of(self.service, reply)
                began = True
                yield reply
        except httpx.HTTPError as error:
            if not began:
                raise self._away(error) from error
            raise EngineUnavailable(
                f"the {what} from {self.service.url} broke off ({told(error)})", hint="ask for it again"
            ) from error

    def _away(self, error: httpx.HTTPError) -> EngineUnavailable:
        return EngineUnavailable(
            f"the {self.service.name} at {self.service.url} cannot be reached ({told(error)})",
            hint=self.service.hint,
            retry_after_s=0.0,
        )


def told(error: httpx.HTTPError) -> str:
    """Some of httpx's errors have no words."""
    return str(error) or type(error).__name__

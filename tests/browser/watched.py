"""What goes wrong in a browser's page while a test uses it: errors of scripts, of the policy, of requests.

In: a page. Out: complaints, of which a test may say beforehand that it expects some.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Page, Request, Response

LEFT = "net::ERR_ABORTED"  # a request of a page that was left meanwhile


@dataclass
class Complaints:
    """Of all pages of one test."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    @contextmanager
    def expected(self, pattern: str) -> Iterator[None]:
        """Complaints like this are what the test wants to see while the context lasts; there must be one."""
        before, self.found = self.found, []
        yield
        assert any(re.search(pattern, one) for one in self.found), f"no complaint like {pattern!r}"
        self.found = before + [one for one in self.found if not re.search(pattern, one)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:  # the policy's violations are errors on the console
            self.found.append(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        if request.failure != LEFT:
            self.found.append(f"request: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"answer: {response.status} of {response.request.method} {response.url}")

"""A real browser at a real coordinator: Debian's Chromium, or the one that COMD_CHROMIUM names.

`page` is signed in; `open_page` opens others (a phone, dark, without JavaScript). Every test fails on an error of
a script, of the content security policy or of a request. A test that fails leaves pictures of its pages.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.browser.chromium import executable, launched
from tests.browser.place import Place, running_place
from tests.browser.watched import Complaints
from tests.conftest import TEMPLATE, make_database

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGES = pytest.StashKey[list[Page]]()
TIMEOUT_MS = 15_000
expect.set_options(timeout=TIMEOUT_MS)

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> None:
    if executable() is None:
        pytest.skip("needs a Chromium: apt-get install chromium, or name one in COMD_CHROMIUM")


@pytest.fixture(scope="module")
def browser(chromium: None) -> Iterator[Browser]:
    """For a module, since Playwright keeps an event loop in this thread, where other tests want their own."""
    with sync_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def place(
    chromium: None, tmp_path_factory: pytest.TempPathFactory, postgres_server: str, redis_server: str
) -> Iterator[Place]:
    """One system for all tests; each makes runs of its own. Without a browser none is started."""
    database = make_database(postgres_server, "browser", TEMPLATE)
    folder = tmp_path_factory.mktemp("place")
    with running_place(folder, database, redis_server, queue_name="browser") as place:
        yield place


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    complaints = Complaints()
    yield complaints
    assert not complaints.found, "\n".join(complaints.found)


@pytest.fixture
def open_page(
    browser: Browser, place: Place, complaints: Complaints, request: pytest.FixtureRequest
) -> Iterator[OpenPage]:
    """Opens pages; `signed_in=False` for a stranger, everything else are options of a browser's context."""
    pages: list[Page] = []
    request.node.stash[PAGES] = pages

    def opened(path: str = "", *, signed_in: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"base_url": place.url, "viewport": DESK, **options})
        context.set_default_timeout(TIMEOUT_MS)
        if signed_in:
            context.add_cookies([{"name": "comd_session", "value": place.cookie(), "url": place.url}])
        page = context.new_page()
        complaints.watch(page)
        pages.append(page)
        if path:
            page.goto(path)
        return page

    yield opened
    for page in pages:
        page.context.close()
    place.tidy()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """At a desk, signed in."""
    return open_page()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.when == "call" and report.failed:
        report.sections += [("picture of the page", _picture(page)) for page in item.stash.get(PAGES, [])]
    return report


def _picture(page: Page) -> str:
    if page.is_closed():
        return "the page is closed"
    folder = Path(tempfile.gettempdir()) / "comd-browser"
    folder.mkdir(exist_ok=True)
    path = folder / f"{secrets.token_hex(4)}.png"
    try:
        page.screenshot(path=path, full_page=True, timeout=5000)
    except Error as error:  # a page that is broken may be too large for a picture: the failure itself is told
        return f"{page.url}: no picture could be taken: {error.message[:200]}"
    return f"{page.url}: {path}"

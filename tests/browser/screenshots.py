"""Takes the pictures in `docs/pictures` from the last demo. By hand: `make demo`, then this from the same folder.

In: `python -m tests.browser.screenshots [--seed N] [--base-port N]`. Out: PNG files of at most 200 KB.
"""

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from comd.demo.folder import DemoFolder
from comd.demo.run import stack_settings
from comd.stack.stack import Stack
from tests.browser.chromium import launched

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES = 200_000
LIST, TALL, DESK, PHONE = (1280, 300), (1280, 2000), (1280, 1000), (390, 844)


@contextmanager
def signed_in(browser: Browser, stack: Stack, size: tuple[int, int], scheme: str = "light") -> Iterator[Page]:
    viewport: Any = {"width": size[0], "height": size[1]}
    color_scheme: Any = scheme
    page = browser.new_page(base_url=stack.url, viewport=viewport, color_scheme=color_scheme)
    page.goto("/signin")
    page.get_by_label("Key").fill(stack.keys.api)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    yield page
    page.close()


def take(page: Page, name: str, path: str) -> None:
    page.goto(path)
    expect(page.get_by_text("The curves are being drawn")).to_have_count(0)
    page.wait_for_load_state("networkidle" if "instructions" in path else "load")
    page.wait_for_timeout(1000)  # engines are asked, pictures are drawn
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(255, dither=Image.Dither.NONE)
    file = FOLDER / f"{name}.png"
    picture.save(file, optimize=True)
    assert file.stat().st_size < MOST_BYTES, f"{file}: {file.stat().st_size} bytes"
    print(f"{file}: {file.stat().st_size // 1000} KB")


def wait_for_engines(page: Page, path: str) -> None:
    """The stack has just begun, and the trainer loads its student."""
    page.goto(path)
    while page.locator(".engines .fine").count() < 4:
        page.wait_for_timeout(3000)
        page.reload()


def take_all(browser: Browser, stack: Stack) -> None:
    headers = {"authorization": f"Bearer {stack.keys.api}"}
    run = httpx.get(f"{stack.url}/v1/runs", headers=headers, trust_env=False).json()["data"][0]["id"]
    with signed_in(browser, stack, LIST) as page:
        take(page, "runs", "/")
    with signed_in(browser, stack, TALL) as page:
        wait_for_engines(page, f"/runs/{run}")
        take(page, "run", f"/runs/{run}")
    with signed_in(browser, stack, DESK) as page:
        take(page, "instructions", f"/runs/{run}/instructions")
        hardest = page.locator("li.instruction h2 a").first.get_attribute("href")
        take(page, "instruction", str(hardest))
    with signed_in(browser, stack, TALL, "dark") as page:
        take(page, "run-dark", f"/runs/{run}")
    with signed_in(browser, stack, PHONE) as page:
        take(page, "phone", f"/runs/{run}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the demo")
    parser.add_argument("--base-port", type=int, default=8100)
    told = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    settings = stack_settings(DemoFolder(told.seed), told.base_port)
    with Stack(settings) as stack, sync_playwright() as playwright, launched(playwright) as browser:
        take_all(browser, stack)


if __name__ == "__main__":
    main()

"""Debian's Chromium, or the one that COMD_CHROMIUM names. In: Playwright. Out: a browser while the context lasts."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Its path; None where there is none."""
    return os.environ.get("COMD_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root its sandbox does not start
    browser = playwright.chromium.launch(executable_path=executable(), args=as_root)
    yield browser
    browser.close()

"""What axe-core finds in a page. In: an open page. Out: its serious and critical violations, in words."""

import json

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

GRAVE = {"serious", "critical"}
OPTIONS = {"resultTypes": ["violations"]}


def grave_violations(page: Page) -> list[str]:
    """The script comes over the browser's own protocol, which the page's policy says nothing about."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(f"axe.run({json.dumps(OPTIONS)})")["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]

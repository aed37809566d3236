"""Every page by light and dark, at a desk and on a phone: accessible, no wider than the screen, in its colours."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import grave_violations
from tests.browser.conftest import DESK, PHONE, OpenPage
from tests.browser.every_page import every_page
from tests.browser.place import Place
from tests.browser.watched import Complaints

LOOKS = [
    pytest.param(
        {"viewport": viewport, "color_scheme": scheme, "reduced_motion": motion}, id=f"{name}-{scheme}"
    )
    for name, viewport, motion in (("desk", DESK, "no-preference"), ("phone", PHONE, "reduce"))
    for scheme in ("light", "dark")
]
PAPER = {"light": "rgb(246, 246, 244)", "dark": "rgb(18, 22, 27)"}
TOO_WIDE = "() => document.scrollingElement.scrollWidth - innerWidth"


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_fits_and_follows_the_colours(
    look: dict[str, object], place: Place, open_page: OpenPage, complaints: Complaints
) -> None:
    page = open_page(**look)
    found: list[str] = []
    for name, path in every_page(place, place.finished()).items():
        if name == "nothing":
            with complaints.expected("404"):
                page.goto(path)
        else:
            page.goto(path)
        settled(page)
        found += [f"{name}: {one}" for one in grave_violations(page)]
        if (too_wide := page.evaluate(TOO_WIDE)) > 0:
            found.append(f"{name}: {too_wide} px wider than the screen")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == PAPER[str(look["color_scheme"])], name
    assert not found, "\n".join(found)


def settled(page: Page) -> None:
    """Parts that the page asks for by itself are there."""
    expect(page.get_by_text("The curves are being drawn")).to_have_count(0)
    expect(page.get_by_text("The verdicts are being counted")).to_have_count(0)
    expect(page.get_by_text("being asked …")).to_have_count(0)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")


def test_nothing_moves_where_little_motion_is_wanted(place: Place, open_page: OpenPage) -> None:
    page = open_page(f"/runs/{place.finished()}", reduced_motion="reduce")
    settled(page)
    moving = """() => [...document.querySelectorAll("*")].filter(one => {
        const style = getComputedStyle(one);
        return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
    }).length"""
    assert page.evaluate(moving) == 0

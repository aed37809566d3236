"""Texts of models, data and people that are hostile: nothing of them runs, they are read as texts, no page breaks."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, OpenPage
from tests.browser.hostile import SCRIPTS, hostile_evaluation, hostile_run
from tests.browser.place import Place
from tests.browser.test_every_page import TOO_WIDE, settled

TALLEST = 40_000  # px; a text of a megabyte would be hundreds of thousands
OUTSIDE = """() => [...document.querySelectorAll("main *, header *")].filter(one => {
    const box = one.getBoundingClientRect();
    const scrolls = one.closest(".scroll, .long, .answers dd, .picture, .skip, svg, select");
    return !scrolls && box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_hostile_texts_are_shown_and_do_nothing(
    viewport: dict[str, int], place: Place, open_page: OpenPage
) -> None:
    run_id, one = hostile_run(place)
    evaluation = f"/evaluations/{hostile_evaluation(place)}"
    page = open_page(viewport=viewport)
    for path in (
        "/",
        f"/runs/{run_id}",
        f"/runs/{run_id}/instructions?show=all&iteration=1",
        f"/runs/{run_id}/instructions?show=hardest&iteration=1",
        f"/runs/{run_id}/instructions/{one}",
        f"/runs/{run_id}/endpoints",
        f"/runs/{run_id}/failures",
        f"/runs/{run_id}/events",
        "/events",
        "/evaluations",
        evaluation,
        f"{evaluation}/items",
        f"{evaluation}/items/1",
        f"{evaluation}/items/5",
        f"/evaluations/compare?id={evaluation.split('/')[-1]}",
    ):
        page.goto(path)
        settled(page)
        hold_together(page, path)


def hold_together(page: Page, path: str) -> None:
    assert SCRIPTS[:40] in page.locator("body").inner_text(), path
    assert page.evaluate("window.ran") is None, path
    expect(
        page.locator("main script, main [onerror], main [hx-get='/signout'], main b[onfocus]")
    ).to_have_count(0)
    assert page.evaluate(TOO_WIDE) <= 0, path
    assert page.evaluate(OUTSIDE) == [], path
    assert page.evaluate("document.scrollingElement.scrollHeight") < TALLEST, path
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("Runs")

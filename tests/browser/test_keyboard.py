"""Everything by the keyboard alone: in order, seen where it is, and not lost when the page changes by itself."""

from playwright.sync_api import Page, expect

from tests.browser.place import FULL, Place

FOCUSED = """() => {
    const one = document.activeElement;
    return (one.getAttribute("aria-label") || one.name || one.innerText || one.tagName).trim().split("\\n")[0];
}"""
IS_MARKED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"


def tab_to(page: Page, name: str, most: int = 40) -> list[str]:
    """Goes on by Tab until this is focused; what was passed on the way."""
    passed: list[str] = []
    while len(passed) < most:
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        assert page.evaluate(IS_MARKED), f"nobody sees that {passed[-1]!r} is focused"
        if passed[-1] == name:
            return passed
    raise AssertionError(f"{name!r} is not reached by Tab: {passed}")


def test_the_first_tab_leads_past_the_heading(page: Page, place: Place) -> None:
    page.goto(f"/runs/{place.finished()}/instructions?show=all")
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the content")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    assert tab_to(page, "words")[:3] == ["iteration", "show", "type"]


def test_a_run_is_begun_and_opened_by_keys_alone(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 0.5})
    run_id = place.create("by keys", **FULL)
    page.goto("/")
    row = page.get_by_role("listitem").filter(has_text=run_id)
    passed = tab_to(page, "start by keys")
    assert passed[:5] == ["Skip to the content", "CoMD", "Runs", "Evaluations", "Events"]
    assert passed[-2] == "by keys"
    page.keyboard.press("Enter")
    expect(row.locator(".state")).to_have_text("running")
    page.goto("/")
    tab_to(page, "by keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="by keys running")).to_be_visible()
    tab_to(page, "pause by keys")
    before = page.locator(".now").inner_text()
    page.wait_for_function("before => document.querySelector('.now').innerText !== before", arg=before)
    assert page.evaluate(FOCUSED) == "pause by keys"
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="by keys paused")).to_be_visible()

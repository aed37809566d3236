"""A run from the page: begun, watched until its end, paused, cancelled; and what it learnt, looked at."""

import re

from playwright.sync_api import Dialog, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.place import FULL, Place


def test_a_run_begun_from_the_list_is_watched_until_its_end(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 0.6})
    run_id = place.create("watched", **FULL)
    page.goto("/")
    row = page.get_by_role("listitem").filter(has_text=run_id)
    expect(row).to_contain_text("not started")
    row.get_by_role("button", name="start watched").click()
    expect(row.locator(".state")).to_have_text("running")
    row.get_by_role("link", name="watched").click()
    page.evaluate("window.stayed = true")
    expect(page.get_by_role("heading", name="watched running")).to_be_visible()
    stand = page.locator(".now .big")
    for phase in ("teaching", "assessing", "augmenting"):
        expect(stand).to_have_text(re.compile(f"iteration 1 of 2: {phase}"))
    expect(page.get_by_role("heading", name="watched finished")).to_be_visible(timeout=40_000)
    assert page.evaluate("window.stayed"), "the page was loaded again"
    expect(page.get_by_role("button", name="start watched")).to_be_visible()
    expect(page.get_by_role("button", name="pause watched")).to_have_count(0)
    for chart in ("Held-out accuracy", "Iteration 1: difficulty"):
        expect(page.get_by_role("img", name=re.compile(chart, re.IGNORECASE)).first).to_be_visible()
    expect(page.get_by_role("region", name="Iterations").get_by_role("row")).to_have_count(4)
    expect(page.get_by_role("region", name="Log")).to_contain_text("finished")


def test_pausing_and_resuming(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 1.5, "role": "student"})
    run_id = place.begin("paused at times", trainings=2)
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="pause paused at times").click()
    expect(page.get_by_role("heading", name="paused at times paused")).to_be_visible()
    assert place.get(f"/v1/runs/{run_id}")["status"] == "paused"
    place.set_faults()
    page.get_by_role("button", name="resume paused at times").click()
    expect(page.get_by_role("heading", name="paused at times finished")).to_be_visible()


def test_cancelling_asks_first(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 1.5})
    run_id = place.begin("given up", trainings=2)
    page.goto(f"/runs/{run_id}")
    button = page.get_by_role("button", name="cancel given up")
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    button.click()
    page.wait_for_function("performance.now() > 0")
    assert "for good" in asked[0]
    assert place.get(f"/v1/runs/{run_id}")["status"] == "running"
    page.once("dialog", lambda dialog: dialog.accept())
    button.click()
    expect(page.get_by_role("heading", name="given up cancelled")).to_be_visible()
    expect(button).to_have_count(0)


def test_instructions_are_filtered_and_opened(page: Page, place: Place) -> None:
    page.goto(f"/runs/{place.finished()}")
    page.get_by_role("link", name="Instructions").first.click()
    expect(page.get_by_role("heading", name="Instructions")).to_be_visible()
    cards = page.locator("li.instruction")
    everything = cards.count()
    page.get_by_label("show").select_option("the whole pool")
    page.get_by_label("task type").select_option(index=1)
    chosen = page.get_by_label("task type").input_value()
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("show=all"))
    assert 0 < cards.count() < everything
    for card in cards.all():
        expect(card).to_contain_text(chosen)
    word = cards.first.locator("h2").inner_text().split()[-1].strip("?.")
    page.get_by_label("words in the question").fill(word.upper())
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("words="))
    question = cards.first.locator("h2").inner_text()
    assert word in question
    cards.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(question)
    picture = page.get_by_role("img", name="The picture of this question")
    assert picture.evaluate("picture => picture.naturalWidth") > 0
    expect(page.get_by_role("heading", name="Teacher", level=2)).to_be_visible()
    page.get_by_text("What the judge said").first.click()
    page.get_by_role("link", name="Instructions").click()
    expect(cards.first).to_be_visible()


def test_what_was_learnt_can_be_read_without_scripts(place: Place, open_page: OpenPage) -> None:
    run_id = place.finished()
    page = open_page("/", java_script_enabled=False)
    page.get_by_role("link", name="a finished run").click()
    expect(page.get_by_role("heading", name="a finished run finished")).to_be_visible()
    page.get_by_role("link", name="Instructions").first.click()
    page.get_by_label("show").select_option("easy")
    page.get_by_role("button", name="Show").click()
    page.locator("li.instruction h2 a").first.click()
    expect(page.get_by_role("heading", name="Teacher", level=2)).to_be_visible()
    assert run_id in page.url

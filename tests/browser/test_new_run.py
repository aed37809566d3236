"""A run made in the browser: what is wrong is said beside its field, then it begins, and its curve grows."""

import re

from playwright.sync_api import Page, expect

from tests.browser.place import Place
from tests.browser.watched import Complaints


def test_a_run_is_made_and_begun_from_the_page(page: Page, place: Place, complaints: Complaints) -> None:
    place.set_faults({"kind": "slow", "seconds": 0.3})
    page.goto("/")
    page.get_by_role("link", name="New run").click()
    page.get_by_label("name", exact=True).fill("typed in")
    page.get_by_label("data set", exact=True).select_option("world")
    page.get_by_label("held-out data set").select_option("heldout")
    trainings = page.get_by_label("trainings")
    trainings.fill("two")
    page.get_by_label("more settings").fill("[training]\nepochs = 3")
    with complaints.expected("422"):
        page.get_by_role("button", name="Create and start").click()
        expect(page.get_by_text("valid integer")).to_be_visible()
    expect(trainings).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("data set", exact=True)).to_have_value("world")
    trainings.fill("2")
    page.get_by_role("button", name="Create and start").click()
    expect(page.get_by_role("heading", name="typed in running")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Training loss by step"))).to_be_visible()
    expect(page.get_by_role("heading", name="typed in finished")).to_be_visible(timeout=40_000)
    expect(page.get_by_role("img", name=re.compile("iteration 2: 3 steps, from 1 to 0.5"))).to_be_visible()
    run = next(run for run in place.get("/v1/runs")["data"] if run["name"] == "typed in")
    assert run["config"]["training"]["epochs"] == 3


def test_a_run_is_made_only(page: Page, place: Place) -> None:
    page.goto("/runs/new")
    page.get_by_label("name", exact=True).fill("for later")
    page.get_by_label("data set", exact=True).select_option("world")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="for later created")).to_be_visible()
    page.get_by_role("link", name="again, with changes").click()
    expect(page.get_by_label("name", exact=True)).to_have_value("for later again")

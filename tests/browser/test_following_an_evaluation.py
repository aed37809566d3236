"""An evaluation from the page: watched until its end, paused, looked at question by question, compared."""

import re

from playwright.sync_api import Page, expect

from tests.browser.place import Place


def test_an_evaluation_is_watched_until_its_end(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 1.5})
    evaluation_id = place.evaluate(place.benchmark("exam"), seed=1)
    page.goto(f"/evaluations/{evaluation_id}")
    page.evaluate("window.stayed = true")
    expect(page.locator(".now .big")).to_have_text(re.compile("of 5 questions|not begun"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("finished", timeout=40_000)
    assert page.evaluate("window.stayed"), "the page was loaded again"
    expect(page.get_by_role("button", name="pause")).to_have_count(0)
    expect(page.get_by_role("region", name="Scores")).to_contain_text("the paper CoMD-7B")
    asked = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/live')).length"
    )
    page.wait_for_timeout(2_500)
    after = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/live')).length"
    )
    assert after == asked, "the page still asks for an evaluation that has ended"


def test_pausing_resuming_and_cancelling(page: Page, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 3})
    evaluation_id = place.evaluate(place.benchmark("exam"), seed=2)
    page.goto(f"/evaluations/{evaluation_id}")
    heading = page.get_by_role("heading", level=1)
    for button, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name=re.compile(f"^{button}")).click()
        expect(heading).to_contain_text(state)


def test_from_a_runs_curve_to_a_question_and_to_a_comparison(page: Page, place: Place) -> None:
    run_id, evaluations = place.measured()
    page.goto(f"/runs/{run_id}")
    expect(page.get_by_role("img", name=re.compile("^exam, by letter.*AVG, per cent"))).to_be_visible()
    page.get_by_role("link", name="iteration 2", exact=True).click()
    expect(page).to_have_url(re.compile(f"/evaluations/{evaluations[0]}$"))
    page.get_by_role("link", name="Questions").click()
    page.get_by_label("column").select_option("IMG")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".cards > li")).to_have_count(2)
    page.locator(".cards h2 a").first.click()
    expect(page.get_by_role("img", name="The picture of this question")).to_be_visible()
    expect(page.locator(".is-right .mark")).to_contain_text("right answer")

    page.goto("/evaluations?benchmark=exam")
    for one in evaluations[:2]:
        page.get_by_role("checkbox", name=re.compile(one)).check()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.get_by_role("region", name="Scores").get_by_role("row")).to_have_count(1 + 2 + 3)
    expect(page.get_by_role("region", name="Differences").get_by_role("row")).to_have_count(2)


def test_a_new_run_names_its_benchmarks(page: Page, place: Place) -> None:
    place.benchmark("exam")
    page.goto("/runs/new")
    page.get_by_label("name", exact=True).fill("named on the page")
    page.get_by_label("data set", exact=True).select_option("world")
    page.get_by_role("checkbox", name=re.compile("^exam")).check()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="named on the page")).to_be_visible()
    run = place.get(f"/v1/runs/{page.url.rsplit('/', 1)[-1]}")
    assert [one["benchmark"] for one in run["config"]["benchmarks"]] == ["exam"]
    page.get_by_role("link", name="again, with changes").click()
    expect(page.get_by_role("checkbox", name=re.compile("^exam"))).to_be_checked()

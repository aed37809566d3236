"""The engines behind a run's roles in the browser: how they are, a swap that is refused, one that counts, and back."""

import re

from playwright.sync_api import Locator, Page, expect

from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from tests.browser.conftest import OpenPage
from tests.browser.place import Place
from tests.browser.watched import Complaints
from tests.loopback import free_port, serving


def card(page: Page, role: str) -> Locator:
    return page.get_by_role("region", name=role, exact=True)


def test_every_role_says_how_its_engine_is(page: Page, place: Place) -> None:
    run_id = place.create("asked how they are")
    page.goto(f"/runs/{run_id}")
    line = page.get_by_role("region", name="Engines")
    for role in ("teacher", "assessor", "augmentor", "student"):
        expect(line).to_contain_text(re.compile(rf"{role} ok \d+ ms"))
    page.get_by_role("link", name="Endpoints").click()
    for role in ("teacher", "assessor", "augmentor"):
        expect(card(page, role).locator(".state")).to_have_text("ok")
        expect(card(page, role)).to_contain_text(place.engine_url)
    expect(card(page, "student").locator(".state")).to_have_text("ok")
    expect(card(page, "student").get_by_role("group")).to_have_count(0)


def test_a_swap_is_refused_beside_the_form_and_counts_once_it_is_right(
    page: Page, place: Place, complaints: Complaints
) -> None:
    run_id = place.create("swapped")
    page.goto(f"/runs/{run_id}/endpoints")
    teacher = card(page, "teacher")
    teacher.get_by_text("Swap the teacher's engine").click()
    teacher.get_by_label("address").fill(f"http://127.0.0.1:{free_port()}")
    teacher.get_by_label("model").fill("scripted")
    with complaints.expected("422"):
        teacher.get_by_role("button", name="Try it and swap").click()
        expect(teacher.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(teacher.get_by_label("model")).to_have_value("scripted")
    teacher.get_by_label("name of its key").fill("PATH")
    with complaints.expected("422"):
        teacher.get_by_role("button", name="Try it and swap").click()
        expect(teacher.get_by_role("alert")).to_contain_text("key_name")
    assert place.get(f"/v1/runs/{run_id}")["engines"] == {}

    with serving(create_app(Behaviour())) as second:
        teacher.get_by_label("name of its key").fill("")
        teacher.get_by_label("address").fill(second)
        teacher.get_by_label("kind").select_option("scripted")
        teacher.get_by_role("button", name="Try it and swap").click()
        expect(teacher).to_contain_text("the run's own")
        expect(teacher.locator(".state")).to_have_text("ok")
        assert place.get(f"/v1/runs/{run_id}")["engines"]["teacher"]["base_url"] == second
    expect(teacher.locator(".state")).to_have_text("down", timeout=30_000)  # asked again by itself
    expect(card(page, "assessor").locator(".state")).to_have_text("ok")

    teacher.get_by_text("Swap the teacher's engine").click()
    teacher.get_by_role("button", name="Back to the service's own").click()
    expect(teacher).to_contain_text("the service's own")
    expect(page.get_by_role("region", name="Swaps").get_by_role("row")).to_have_count(3)
    assert place.get(f"/v1/runs/{run_id}")["engines"] == {}


def test_the_judge_is_swapped_and_its_assessment_begun_anew(open_page: OpenPage, place: Place) -> None:
    place.set_faults({"kind": "slow", "seconds": 8, "role": "judge"})
    run_id = place.begin("judged anew", trainings=2)
    place.wait(run_id, lambda run: run["phase"] == "assessing")
    place.post(f"/v1/runs/{run_id}/pause")
    place.set_faults()
    page = open_page(f"/runs/{run_id}/endpoints")
    assessor = card(page, "assessor")
    assessor.get_by_text("Swap the assessor's engine").click()
    assessor.get_by_label("address").fill(place.engine_url)
    assessor.get_by_label("model").fill("scripted")
    assessor.get_by_label("revision").fill("another judge")
    assessor.get_by_label("kind").select_option("scripted")
    assessor.get_by_label("takes a JSON schema").select_option("no")
    assessor.get_by_label("discard the verdicts").check()
    assessor.get_by_role("button", name="Try it and swap").click()
    expect(assessor).to_contain_text("another judge")
    assert place.get(f"/v1/runs/{run_id}")["engines"]["assessor"]["json_schema"] is False
    expect(assessor.get_by_label("takes a JSON schema")).to_have_value("false")
    actions = [entry["action"] for entry in place.get(f"/v1/runs/{run_id}/log")["data"]]
    assert actions[-2:] == ["assessment_restarted", "engines_swapped"]

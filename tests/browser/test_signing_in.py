"""Coming in by the form, and going out again."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.watched import Complaints
from tests.doubles.town import KEYS


def test_a_stranger_is_asked_for_a_key_and_then_sees_what_was_wanted(
    open_page: OpenPage, complaints: Complaints
) -> None:
    page = open_page("/?skip=0", signed_in=False)
    expect(page.get_by_label("Key")).to_be_focused()
    page.keyboard.type("no such key")
    with complaints.expected("401"):
        page.keyboard.press("Enter")
        expect(page.locator("#wrong")).to_contain_text("not known")
    expect(page.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Key").fill(KEYS.api)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert page.evaluate("document.cookie") == ""  # no script can read it


def test_signing_out_ends_the_session(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/")
    expect(page).to_have_url("/signin")

"""The pages of what failed and of what happened: filters, pages, and the button to ask again, over real HTTP."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.dashboard.failures import AT_ONCE
from services.coordinator.database import connect
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS
from tests.integration.builders import RUN
from tests.integration.filled import ITERATION, fill
from tests.integration.test_dashboard_pages import browser, change
from tests.loopback import serving

FAILED = """
    INSERT INTO failures SELECT run_id, born_in, 'assessing', image, id,
        CASE WHEN mod(id, 3) = 0 THEN 'no score could be read' ELSE 'too long' END, 3
    FROM instructions
"""


@pytest.fixture
async def http(tmp_path: Path, postgres_url: str, redis_url: str) -> Any:
    """A browser at a coordinator with a paused run, all of whose 120 instructions failed once."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await fill(c, 120)
    await engine.dispose()
    change(postgres_url, "UPDATE runs SET status = 'paused'")
    change(postgres_url, FAILED)
    settings = CoordinatorSettings(database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path))
    with serving(create_coordinator_app(settings, KEYS)) as url, browser(url, "api", KEYS.api) as client:
        yield client


def all_rows(http: httpx.Client, path: str, pattern: str) -> list[str]:
    """What the pattern finds on the page and on those that follow it."""
    found: list[str] = []
    at = path
    while at:
        html = http.get(at).text
        found += re.findall(pattern, html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        at = path.split("?")[0] + following[1].replace("&amp;", "&") if following else ""
    return found


def test_failures_follow_one_another_and_are_filtered(http: httpx.Client) -> None:
    path, link = f"/runs/{RUN}/failures", rf'<a href="/runs/{RUN}/instructions/(\d+)">'
    everything = all_rows(http, path, link)
    assert len(everything) == len(set(everything)) == 120 > 2 * AT_ONCE
    of_first = all_rows(http, f"{path}?iteration=1&phase=assessing", link)
    assert 0 < len(of_first) < 120
    assert set(of_first) < set(everything)
    assert all_rows(http, f"{path}?phase=teaching", link) == []


def test_reasons_are_counted_where_they_are_shown(http: httpx.Client) -> None:
    def counted(query: str) -> dict[str, int]:
        html = http.get(f"/runs/{RUN}/failures{query}").text
        rows = re.findall(r'<tr><td>([\d,]+)</td><td class="text">([^<]+)</td></tr>', html)
        return {reason: int(number) for number, reason in rows}

    everything = counted("")
    assert everything.keys() == {"no score could be read", "too long"}
    assert sum(everything.values()) == 120
    assert sum(counted("?iteration=1").values()) < 120


def test_what_failed_in_the_present_phase_is_asked_again_at_a_button(http: httpx.Client) -> None:
    html = http.get(f"/runs/{RUN}/failures").text
    button = re.search(r'hx-post="(/runs/[^"]+/retry)"[^>]*>Ask (\d+) again', html)
    assert button is not None
    assert http.post(button[1]).headers["hx-refresh"] == "true"
    left = http.get(f"/v1/runs/{RUN}/failures?iteration={ITERATION}").json()["data"]
    assert left == []
    assert "/retry" not in http.get(f"/runs/{RUN}/failures").text  # nothing of it failed any more
    assert http.post(button[1]).status_code == 409
    entry = http.get(f"/v1/runs/{RUN}/log").json()["data"][-1]
    assert (entry["action"], entry["detail"]["items"]) == ("retry", int(button[2]))


def test_events_of_a_run_and_of_everything_newest_first(http: httpx.Client, postgres_url: str) -> None:
    change(
        postgres_url,
        "INSERT INTO event_log (run_id, action, cause, detail) SELECT %(run)s, 'thing_done', 'cause ' || n, '{}' "
        "FROM generate_series(1, 120) n",
        run=RUN,
    )
    causes = all_rows(http, f"/runs/{RUN}/events?action=thing_done", r">(cause \d+)<")
    assert causes == [f"cause {n}" for n in range(120, 0, -1)]
    assert all_rows(http, f"/runs/{RUN}/events?cause=CAUSE+7", r">(cause \d+)<")[-1] == "cause 7"
    assert all_rows(http, f"/runs/{RUN}/events?action=created&cause=cause+7", r">(cause \d+)<") == []
    http.post("/v1/keys", json={"name": "ann", "scope": "read"})
    everything = http.get("/events").text
    assert "key made" in everything
    assert "the system" in everything
    assert f'href="/runs/{RUN}/events"' in everything
    assert "key made" not in http.get(f"/runs/{RUN}/events").text
    for wrong in ("before=x", "before=-1", "nothing=1"):
        assert http.get(f"/events?{wrong}").status_code == 400


def test_wrong_filters_of_failures_are_refused_as_pages(http: httpx.Client) -> None:
    for query in ("iteration=x", "phase=training", "after=x", f"after=1~assessing~{2**63}~x"):
        answer = http.get(f"/runs/{RUN}/failures?{query}")
        assert (answer.status_code, "That did not work" in answer.text) == (400, True), query


def test_a_reader_sees_failures_and_no_button(http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"name": "ann", "scope": "read"}).json()
    with browser(str(http.base_url), "ann", made["key"]) as ann:
        for page in ("failures", "endpoints", "events"):
            assert "hx-post" not in ann.get(f"/runs/{RUN}/{page}").text.split("<main")[1]
        assert ann.post(f"/runs/{RUN}/endpoints/teacher", data={"to": "service"}).status_code == 403

"""The dashboard's pages over real HTTP and a filled database: what they show, filter and start, how they bear texts."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.dashboard import session
from services.coordinator.dashboard.door import COOKIE, CSRF_HEADER
from services.coordinator.dashboard.instructions import AT_ONCE, SHOWN_AS
from services.coordinator.database import connect
from services.coordinator.key_ring import hash_of
from services.coordinator.repositories.browsing import CHOICES
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS
from tests.integration.builders import RUN
from tests.integration.filled import fill
from tests.loopback import serving

SECRET = session.signing_secret(KEYS.internal)
NUM = 120
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe & \"quoted\" 'text' {{ 7 * 7 }}"
)
PAGE = {"accept": "text/html"}


@pytest.fixture
async def http(tmp_path: Path, postgres_url: str, redis_url: str) -> Any:
    """A browser that is signed in, at a coordinator with a paused run of 120 instructions."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await fill(c, NUM)
    await engine.dispose()
    change(postgres_url, "UPDATE runs SET status = 'paused'")
    settings = CoordinatorSettings(database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path))
    with serving(create_coordinator_app(settings, KEYS)) as url, browser(url, "api", KEYS.api) as client:
        yield client


def browser(url: str, name: str, key: str) -> httpx.Client:
    token = session.issue(SECRET, name, hash_of(key), time.time())
    found = session.read(SECRET, token, time.time())
    assert found is not None
    headers = {**PAGE, CSRF_HEADER: found.csrf_token}
    return httpx.Client(base_url=url, headers=headers, cookies={COOKIE: token}, timeout=30, trust_env=False)


def change(url: str, statement: str, **values: Any) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, values)


def ids(html: str) -> list[str]:
    return re.findall(rf'<h2 class="text"><a href="/runs/{RUN}/instructions/(\d+)">', html)


def test_the_list_of_runs_shows_where_each_stands(http: httpx.Client) -> None:
    html = http.get("/").text
    for said in (">run</bdi>", "paused", "iteration 4 of 9: assessing", "0.00 USD", ">resume<", ">cancel<"):
        assert said in html
    assert ">pause<" not in html
    part = http.get("/", headers={"hx-request": "true"}).text
    assert part.lstrip().startswith("<ul")
    assert "There is no run further back" in http.get("/?skip=50").text


def test_a_run_is_found_by_its_name_and_shows_its_loop_and_numbers(http: httpx.Client) -> None:
    html = http.get("/runs/run").text
    assert html.count('class="station') == 5  # no exam without held-out questions
    assert "iteration 4 of 9: assessing" in html
    assert "120" in html
    assert f'hx-sse:connect="/runs/{RUN}/live"' in html
    missing = http.get("/runs/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "there is no run" in missing.text


def test_the_charts_sum_the_verdicts(http: httpx.Client, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE difficulty >= 0.33) FROM verdicts WHERE iteration = 3"
        ).fetchone()
    assert row is not None
    assert f"3, difficult: {row[0]}" in http.get(f"/runs/{RUN}/charts").text


def test_the_live_stream_brings_the_page_and_what_changed(http: httpx.Client) -> None:
    with http.stream("GET", f"/runs/{RUN}/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert "paused" in read_message(lines)
        assert (
            http.post(f"/runs/{RUN}/cancel", headers={"hx-request": "true"}).headers["hx-refresh"] == "true"
        )
        assert "cancelled" in read_message(lines)
        assert read_message(lines) == "event: ended\ndata: "


def read_message(lines: Iterator[str]) -> str:
    said = []
    for line in lines:
        if not line and said:
            break
        if not line.startswith(":"):
            said.append(line)
    return "\n".join(said)


def test_a_session_that_ends_ends_its_stream(http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"name": "ann", "scope": "read"}).json()
    with (
        browser(str(http.base_url), "ann", made["key"]) as ann,
        ann.stream("GET", f"/runs/{RUN}/live") as answer,
    ):
        lines = answer.iter_lines()
        assert "paused" in read_message(lines)
        http.delete("/v1/keys/ann")
        http.post(f"/runs/{RUN}/resume")
        for line in lines:  # to the stream's end
            assert "running" not in line


def test_buttons_are_there_for_those_who_may_and_do_what_they_say(http: httpx.Client) -> None:
    made = http.post("/v1/keys", json={"name": "ann", "scope": "read"}).json()
    with browser(str(http.base_url), "ann", made["key"]) as ann:
        assert "hx-post" not in ann.get(f"/runs/{RUN}").text.split("<main")[1]
        refused = ann.post(f"/runs/{RUN}/resume", headers={"hx-request": "true"})
        assert (refused.status_code, refused.headers["hx-retarget"]) == (403, "#alert")
        assert "needs a key with the scope" in refused.text
    assert http.post(f"/runs/{RUN}/resume").status_code == 204
    assert http.get(f"/v1/runs/{RUN}").json()["status"] == "running"
    assert http.post(f"/runs/{RUN}/pause").status_code == 204
    wrong = http.post(f"/runs/{RUN}/explode")
    assert (wrong.status_code, "there is no action" in wrong.text) == (404, True)
    assert http.get(f"/v1/runs/{RUN}/log").json()["data"][-1]["cause"] == "asked for by api"


def test_a_second_click_on_start_adds_no_second_training(http: httpx.Client, postgres_url: str) -> None:
    change(postgres_url, "UPDATE runs SET status = 'finished'")
    for _ in range(2):
        assert http.post(f"/runs/{RUN}/start?target=9").status_code == 204
    assert http.get(f"/v1/runs/{RUN}").json()["target"] == 13


def test_a_refusal_comes_as_a_part_of_the_page(http: httpx.Client) -> None:
    http.post(f"/runs/{RUN}/cancel")
    refused = http.post(f"/runs/{RUN}/resume", headers={"hx-request": "true"})
    assert (refused.status_code, refused.headers["hx-retarget"]) == (409, "#alert")
    assert refused.text.startswith('<p class="alert">')


def test_the_pages_of_a_list_follow_one_another_without_gap_or_repeat(http: httpx.Client) -> None:
    for show in ("all", "hardest"):
        found, path = list[str](), f"/runs/{RUN}/instructions?iteration=3&show={show}"
        while path:
            html = http.get(path).text
            found += ids(html)
            following = re.search(r'rel="next" href="([^"]+)"', html)
            path = following and f"/runs/{RUN}/instructions{following[1].replace('&amp;', '&')}"
        pool = http.get(f"/v1/runs/{RUN}/pools/cache?iteration=3&limit=1000").json()["data"]
        assert len(found) > 2 * AT_ONCE
        assert sorted(found) == sorted(row["id"] for row in pool)


def test_each_filter_shows_its_own(http: httpx.Client, postgres_url: str) -> None:
    assert SHOWN_AS.keys() == CHOICES.keys()
    pool = [int(row["id"]) for row in http.get(f"/v1/runs/{RUN}/pools/tuning?iteration=1").json()["data"]]
    change(postgres_url, "UPDATE verdicts SET difficulty = 0.2, student_score = 8")
    for statement, at in (
        ("UPDATE verdicts SET difficulty = 0.9 WHERE instruction_id = %(id)s", 0),
        ("UPDATE verdicts SET student_score = 9 WHERE instruction_id = %(id)s", 1),
        (
            "UPDATE verdicts SET unjudged = true, reason = 'no score', difficulty = NULL, teacher_score = NULL, "
            "student_score = NULL WHERE instruction_id = %(id)s",
            2,
        ),
        ("UPDATE instructions SET task_type = 'count' WHERE id = %(id)s", 3),
        ("UPDATE instructions SET text = 'Where is the zebra?' WHERE id = %(id)s", 4),
    ):
        change(postgres_url, statement, id=pool[at])
    asked = {
        "show=difficult": 0,
        "show=better": 1,
        "show=unjudged": 2,
        "type=count": 3,
        "words=ZEBRA+where": 4,
    }
    for query, at in asked.items():
        for iteration in ("", "&iteration=1"):
            assert ids(http.get(f"/runs/{RUN}/instructions?{query}{iteration}").text) == [str(pool[at])], (
                query
            )
    assert ids(http.get(f"/runs/{RUN}/instructions?words=zebra&type=count").text) == []
    assert len(ids(http.get(f"/runs/{RUN}/instructions?show=easy").text)) == AT_ONCE


def test_wrong_filters_and_cursors_are_refused_as_pages(http: httpx.Client) -> None:
    for query in (
        "show=x",
        "after=x",
        "after=1~0.5&show=all",
        "after=1&show=hardest",
        "iteration=x",
        "nothing=1",
    ):
        answer = http.get(f"/runs/{RUN}/instructions?{query}")
        assert (answer.status_code, "That did not work" in answer.text) == (400, True), query


def test_one_instruction_shows_its_family_answers_and_the_judges_evidence(http: httpx.Client) -> None:
    young = http.get(f"/v1/runs/{RUN}/pools/tuning?iteration=2").json()["data"]
    child = next(
        row for row in young if http.get(f"/v1/runs/{RUN}/instructions/{row['id']}").json()["ancestry"]
    )
    html = http.get(f"/runs/{RUN}/instructions/{child['id']}").text
    assert f"/runs/{RUN}/instructions/{child['parent']}" in html
    assert html.count("the student says a sentence") == 2 * 6  # in iterations 2 and 3
    assert "Student, iteration 3" in html
    assert "teacher first" in html
    assert "a reason." in html
    assert http.get(f"/runs/{RUN}/instructions/1").status_code == 404


def test_hostile_texts_are_texts(http: httpx.Client, postgres_url: str) -> None:
    row = http.get(f"/v1/runs/{RUN}/pools/tuning?iteration=1").json()["data"][0]
    change(
        postgres_url,
        "UPDATE instructions SET text = %(t)s, task_type = %(t)s WHERE id = %(id)s",
        t=HOSTILE,
        id=row["id"],
    )
    change(postgres_url, "UPDATE answers SET text = %(t)s", t=HOSTILE + "W" * 1_000_000)
    change(
        postgres_url,
        "UPDATE verdicts SET runs = jsonb_build_array(jsonb_build_object('evidence', %(t)s::text))",
        t=HOSTILE,
    )
    change(postgres_url, "UPDATE runs SET name = %(t)s, reason = %(t)s", t=HOSTILE)
    change(
        postgres_url,
        "INSERT INTO failures VALUES (%(r)s, 1, 'teaching', 'x', %(id)s, %(t)s, 3)",
        r=RUN,
        id=row["id"],
        t=HOSTILE,
    )
    at = f"/runs/{RUN}"
    for path in (
        "/",
        at,
        f"{at}/charts",
        f"{at}/history",
        f"{at}/instructions?show=all",
        f"{at}/instructions/{row['id']}",
    ):
        answer = http.get(path)
        assert answer.status_code == 200, path
        for alive in ("<script>alert", "<img src=x", "{{ 7", " 49 "):
            assert alive not in answer.text.replace("{{ 7 * 7 }}", ""), path
        assert len(answer.text) < 400_000, path
        if path != f"{at}/charts":
            assert "&lt;script&gt;alert(1)" in answer.text, path

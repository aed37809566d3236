"""The pages of evaluations over real HTTP and a filled database: lists, tables, questions, differences, buttons."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.database import connect
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS
from tests.integration.builders import RUN, make_run
from tests.integration.measured import FAILED, NUM, UNREADABLE, make_benchmark, make_evaluation
from tests.integration.test_dashboard_pages import HOSTILE, browser, change
from tests.loopback import serving

PAPER = ["91.83", "95.95", "88.91", "90.91", "89.94", "91.08", "92.47", "90.97", "91.94"]
LONG = HOSTILE + "W" * 1_000_000
ONE, TWO, OPEN = (f"run-{number:012}" for number in (2, 3, 4))


@pytest.fixture
async def http(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[httpx.Client]:
    """A browser that is signed in, at a coordinator with two finished evaluations of a run and a paused one."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, benchmarks=[{"benchmark": "exam"}])
        await make_benchmark(c)
    for number, more in (
        (2, {"of_run": RUN, "of_iteration": 0}),
        (3, {"of_run": RUN, "of_iteration": 1}),
        (4, {}),
    ):
        async with engine.begin() as c:  # each has its own time
            await make_evaluation(c, number, done=number != 4, **more)
    await engine.dispose()
    change(postgres_url, "UPDATE runs SET status = 'paused' WHERE id = %(run)s", run=RUN)
    settings = CoordinatorSettings(database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path))
    with serving(create_coordinator_app(settings, KEYS)) as url, browser(url, "api", KEYS.api) as client:
        yield client


def cells(html: str, row: str) -> list[str]:
    """The values of a table's row by the link or word that it begins with."""
    (found,) = (part for part in html.split("<tbody>")[1].split("<tr") if row in part)
    return re.findall(r'class="value">([^<]+)<', found)


def questions(html: str) -> list[int]:
    return [
        int(number)
        for number in re.findall(r'<h2 class="text"><a href="/evaluations/[^/]+/items/(\d+)"', html)
    ]


def test_the_list_shows_what_was_measured_and_where_it_stands(http: httpx.Client) -> None:
    html = http.get("/evaluations").text
    assert re.findall(r"<bdi>(evaluation \d)</bdi>", html) == [
        "evaluation 4",
        "evaluation 3",
        "evaluation 2",
    ]
    assert f'href="/runs/{RUN}"' in html
    table = http.get(f"/v1/evaluations/{ONE}/table").json()
    assert f'<b class="value">{table["rows"][0]["cells"][-1]["value"]:.2f}</b>' in html
    assert "evaluation 4" not in http.get(f"/evaluations?run={RUN}").text
    assert "Nothing was measured like this" in http.get("/evaluations?benchmark=other").text
    assert "Nothing was measured further back" in http.get("/evaluations?skip=50").text
    assert "evaluation 2" not in http.get("/").text  # the list of runs is for those that train


def test_one_evaluation_shows_its_table_between_the_papers_rows(http: httpx.Client) -> None:
    html = http.get(f"/evaluations/{ONE}").text
    row = http.get(f"/v1/evaluations/{ONE}/table").json()["rows"][0]
    known = [f"{cell['value']:.2f}" for cell in row["cells"] if cell["value"] is not None]
    assert cells(html, f'href="/evaluations/{ONE}"') == known
    assert cells(html, "CoMD-7B<") == PAPER
    assert html.count('class="paper"') == html.count(">the paper</span>") == 3
    for outcome, num in http.get(f"/v1/evaluations/{ONE}").json()["outcomes"].items():
        assert f'<a href="/evaluations/{ONE}/items?outcome={outcome}">{num}</a>' in html
    assert "hx-get" not in html.split("<main")[1]  # nothing goes on
    assert "hx-post" not in html.split("<main")[1]  # nor can more be measured
    assert http.get(f"/runs/{ONE}", follow_redirects=False).headers["location"] == f"/evaluations/{ONE}"
    missing = http.get("/evaluations/nothing")
    assert (missing.status_code, "there is no evaluation" in missing.text) == (404, True)


def test_while_it_goes_on_it_is_live_and_can_be_steered(http: httpx.Client) -> None:
    html = http.get(f"/evaluations/{OPEN}").text
    assert f'hx-get="/evaluations/{OPEN}/live" hx-trigger="every 2s" hx-swap="outerMorph"' in html
    assert re.findall(r'hx-post="/runs/run-\d+/(\w+)', html) == ["resume", "cancel"]
    assert http.post(f"/runs/{OPEN}/cancel", headers={"hx-request": "true"}).headers["hx-refresh"] == "true"
    part = http.get(f"/evaluations/{OPEN}/live").text
    assert ("hx-get" in part, "hx-post" in part, ">cancelled<" in part) == (False, False, True)
    made = http.post("/v1/keys", json={"name": "ann", "scope": "read"}).json()
    with browser(str(http.base_url), "ann", made["key"]) as ann:
        assert "hx-post" not in ann.get(f"/evaluations/{ONE}").text.split("<main")[1]


def test_failed_questions_can_be_asked_again(http: httpx.Client, postgres_url: str) -> None:
    assert "Ask 1 again" not in http.get(f"/evaluations/{OPEN}").text
    change(
        postgres_url,
        "INSERT INTO failures VALUES (%(run)s, 0, 'measuring', 'none:' || lpad('20', 32, '0'), 20, 'no', 3)",
        run=OPEN,
    )
    html = http.get(f"/evaluations/{OPEN}").text
    assert (f'hx-post="/runs/{OPEN}/retry"' in html, "Ask 1 again" in html) == (True, True)
    assert f'href="/evaluations/{OPEN}/items/20"' in http.get(f"/runs/{OPEN}/failures").text


def test_questions_are_filtered_and_follow_one_another(http: httpx.Client) -> None:
    found, path = list[int](), f"/evaluations/{ONE}/items"
    while path:
        html = http.get(path).text
        found += questions(html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        path = following and f"/evaluations/{ONE}/items{following[1].replace('&amp;', '&')}"
    assert found == [*range(1, NUM + 1)]
    for query, wanted in (
        ("outcome=unreadable", [UNREADABLE]),
        ("outcome=failed", [FAILED]),
        ("outcome=right&group=G7-12", [6, 12, 18, 24, 30]),
        ("outcome=judged", []),
    ):
        assert questions(http.get(f"/evaluations/{ONE}/items?{query}").text) == wanted, query
    for query in ("outcome=best", "after=x", "nothing=1"):
        assert http.get(f"/evaluations/{ONE}/items?{query}").status_code == 400, query


def test_one_question_marks_the_right_and_the_given_answer(http: httpx.Client) -> None:
    html = http.get(f"/evaluations/{ONE}/items/3").text
    right, given = re.findall(r'<li class="(?:is-right|is-given)">.*?</li>', html, re.DOTALL)
    assert ("a lamp" in right, "right answer" in right) == (True, True)
    assert ("a chair" in given, "the model's" in given) == (True, True)
    assert "I say 2." in html
    both = http.get(f"/evaluations/{ONE}/items/4").text
    assert (both.count("is-right"), both.count("is-given"), "right answer, the model's" in both) == (
        1,
        0,
        True,
    )
    assert "counts as wrong" in http.get(f"/evaluations/{ONE}/items/{UNREADABLE}").text
    assert "no reply" in http.get(f"/evaluations/{ONE}/items/{FAILED}").text
    assert http.get(f"/evaluations/{ONE}/items/{NUM + 1}").status_code == 404


def test_several_stand_beside_each_other_with_paired_differences(http: httpx.Client) -> None:
    html = http.get(f"/evaluations/compare?id={ONE}&id={TWO}&id={OPEN}").text
    table, differences = html.split("<h2>Against")
    for evaluation in (ONE, TWO):
        overall = http.get(f"/v1/evaluations/{evaluation}").json()["scores"]["AVG"]["value"]
        assert cells(table, f'href="/evaluations/{evaluation}"')[-1] == f"{overall:.2f}"
    change = http.get(f"/v1/evaluations/{TWO}/difference?other={ONE}").json()["columns"]["AVG"]
    assert f"{change['value']:+.2f}</span>" in differences
    assert f"{change['low']:+.1f} to {change['high']:+.1f}" in differences
    assert f"table?format=csv&amp;beside={TWO}&amp;beside={OPEN}" in html
    for query, status in (
        ("", 400),
        ("?id=nothing", 404),
        ("?" + "&".join(f"id={n}" for n in range(21)), 400),
    ):
        assert http.get(f"/evaluations/compare{query}").status_code == status, query


def test_a_runs_page_draws_its_scores_by_iteration(http: httpx.Client) -> None:
    html = http.get(f"/runs/{RUN}/charts").text
    assert "exam, by letter, temperature 0.5" in html
    for iteration, evaluation in (("start", ONE), ("1", TWO)):
        overall = http.get(f"/v1/evaluations/{evaluation}").json()["scores"]["AVG"]
        tip = f"{iteration}: {overall['value']:.2f} ({overall['low']:.2f} to {overall['high']:.2f})"
        assert f"<title>{tip}</title>" in html
        assert f'<a href="/evaluations/{evaluation}">' in html
    assert html.count('class="line paper') == 2
    assert f"/evaluations/compare?id={ONE}&amp;id={TWO}" in html


def test_hostile_texts_are_texts(http: httpx.Client, postgres_url: str) -> None:
    content = "jsonb_build_object('question', %(t)s::text, 'choices', jsonb_build_array(%(t)s::text))"
    items = f"UPDATE benchmark_items SET name = %(t)s, content = content || {content}"
    for statement, text in (
        ("UPDATE runs SET name = %(t)s, reason = %(t)s WHERE kind = 'evaluation'", HOSTILE),
        ("UPDATE evaluations SET model = model || jsonb_build_object('label', %(t)s::text)", HOSTILE),
        (items, HOSTILE),
        (f"{items} WHERE id = 3", LONG),
        ("UPDATE answers SET text = %(t)s WHERE request_hash LIKE '%%-3'", LONG),
        ("UPDATE failures SET reason = %(t)s", LONG),
    ):
        change(postgres_url, statement, t=text)
    for path in (
        "",
        f"/{ONE}",
        f"/{ONE}/items",
        f"/{ONE}/items/3",
        f"/{ONE}/items/{FAILED}",
        f"/compare?id={ONE}&id={TWO}",
    ):
        answer = http.get(f"/evaluations{path}")
        assert (answer.status_code, len(answer.text) < 400_000) == (200, True), path
        for alive in ("<script>alert", "<img src=x", " 49 "):
            assert alive not in answer.text, path
        assert "&lt;script&gt;alert(1)" in answer.text, path

"""What flipped between two assessments, over REST and on the pages: of one run, and of two that share instructions."""

import re
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.database import connect
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS
from tests.integration.builders import RUN
from tests.integration.filled import fill
from tests.integration.test_dashboard_pages import HOSTILE, browser, change
from tests.loopback import serving

NUM = 150
OTHER = "run-2"
AT = f"/runs/{RUN}/compare"


@pytest.fixture
async def http(tmp_path: Path, postgres_url: str, redis_url: str) -> Any:
    """A run whose iteration 1 found everything easy; 2 found 40 of these difficult, and 3 found 10 of them easy."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await fill(c, NUM)
    await engine.dispose()
    ids = judged(postgres_url)
    change(postgres_url, "UPDATE runs SET status = 'paused', name = 'first'")
    change(postgres_url, "UPDATE verdicts SET difficulty = 0.1")
    set_difficulty(postgres_url, 2, ids[:40], 0.9)
    set_difficulty(postgres_url, 3, ids[10:40], 0.8)
    settings = CoordinatorSettings(database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path))
    with serving(create_coordinator_app(settings, KEYS)) as url, browser(url, "api", KEYS.api) as client:
        yield client


def judged(url: str, iteration: int = 1) -> list[int]:
    """The instructions of an assessment in the order of their ids; the first one's are in all others too."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT instruction_id FROM verdicts WHERE iteration = %s ORDER BY 1", [iteration]
        )
        return [row[0] for row in rows]


def set_difficulty(url: str, iteration: int, ids: list[int], value: float | None, run: str = RUN) -> None:
    change(
        url,
        "UPDATE verdicts SET difficulty = %(value)s, unjudged = %(value)s::float8 IS NULL "
        "WHERE run_id = %(run)s AND iteration = %(iteration)s AND instruction_id = ANY(%(ids)s)",
        value=value,
        run=run,
        iteration=iteration,
        ids=ids,
    )


def copy_run(url: str) -> None:
    """A second run on the same data set: ids are hashes of what an instruction is, so they are the same."""
    with psycopg.connect(url) as connection:
        for table, changes in (
            ("runs", {"id": OTHER, "name": "second"}),
            ("iterations", {"run_id": OTHER}),
            ("instructions", {"run_id": OTHER}),
            ("verdicts", {"run_id": OTHER}),
        ):
            columns = [
                row[0]
                for row in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
                )
            ]
            values = ", ".join(f"'{changes[name]}'" if name in changes else name for name in columns)
            connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}")  # type: ignore[arg-type]


def everything(http: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """All pages of the flips."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = http.get(f"/v1/runs/{RUN}/flips", params={"limit": 7, **query, **cursor})
        assert page.status_code == 200, page.text
        found += page.json()["data"]
        if page.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": page.json()["next_cursor"]}


def ids_of(rows: list[dict[str, Any]], kind: str) -> list[int]:
    return [int(row["id"]) for row in rows if row["kind"] == kind]


def test_flips_are_those_that_changed_sides(http: httpx.Client, postgres_url: str) -> None:
    ids = judged(postgres_url)
    first = everything(http, **{"from": 1, "to": 2})
    assert (ids_of(first, "forgotten"), ids_of(first, "learnt")) == (ids[:40], [])
    second = everything(http, **{"from": 2, "to": 3})
    assert (ids_of(second, "forgotten"), ids_of(second, "learnt")) == ([], ids[:10])
    assert everything(http, **{"from": 2, "to": 3, "kind": "forgotten"}) == []
    back = everything(http, **{"from": 3, "to": 2})
    assert ids_of(back, "forgotten") == ids[:10]
    one = second[0]
    assert (one["before"]["difficulty"], one["after"]["difficulty"]) == (0.9, 0.1)
    assert one["before"]["student_answer"].startswith("the student says")
    assert one["after"]["teacher_answer"].startswith("the teacher says")


def test_the_unjudged_and_the_edge_of_tau_are_no_flips_by_mistake(
    http: httpx.Client, postgres_url: str
) -> None:
    ids = judged(postgres_url)
    set_difficulty(postgres_url, 3, ids[:4], None)
    set_difficulty(postgres_url, 3, ids[4:6], 0.33)  # difficult from tau on
    for kind in ({}, {"kind": "learnt"}):
        assert ids_of(everything(http, **{"from": 2, "to": 3, **kind}), "learnt") == ids[6:10]
    for kind in ({}, {"kind": "forgotten"}):
        assert ids_of(everything(http, **{"from": 1, "to": 3, **kind}), "forgotten") == [
            *ids[4:6],
            *ids[10:40],
        ]
    html = http.get(f"{AT}/sums?from=2&to=3").text
    counts = [int(num) for num in re.findall(r"<dd>([\d,]+)</dd>", html)]
    assert counts == [4, 0, 32, len(judged(postgres_url, iteration=2)) - 40]
    assert "iteration 2" in html
    assert "Difficulty" in html


def test_two_runs_flip_by_the_same_instructions(http: httpx.Client, postgres_url: str) -> None:
    copy_run(postgres_url)
    ids = judged(postgres_url)
    change(postgres_url, "UPDATE runs SET config = jsonb_set(config, '{tau}', '0.95') WHERE id = 'run-2'")
    found = everything(http, **{"from": 2, "to": 2, "other": OTHER})
    assert len(found) == 40  # to the other run none of them is difficult
    assert ids_of(found, "learnt") == ids[:40]
    page = http.get(f"/compare?a={RUN}&b=second").text
    for said in ('<th scope="row">tau</th>', "0.33", "0.95", f"{AT}?from=3&amp;to=3&amp;other={OTHER}"):
        assert said in page
    assert "first, iteration 2" in http.get(f"{AT}?from=2&to=2&other=second").text
    change(postgres_url, "UPDATE verdicts SET instruction_id = instruction_id / 2 WHERE run_id = 'run-2'")
    assert "data sets have none in common" in http.get(f"{AT}/sums?from=2&to=2&other={OTHER}").text


def test_the_page_shows_both_answers_by_pages_and_bears_hostile_texts(
    http: httpx.Client, postgres_url: str
) -> None:
    change(postgres_url, "UPDATE instructions SET text = %(text)s, task_type = %(text)s", text=HOSTILE)
    change(postgres_url, "UPDATE answers SET text = %(text)s || md5(request_hash)", text=HOSTILE)
    found, path = list[str](), f"{AT}?from=1&to=2&kind=forgotten"
    while path:
        html = http.get(path).text
        assert "<script>alert" not in html
        assert "student, <bdi>iteration 1" in html
        found += re.findall(r'<h3 class="text"><a href="/runs/run-1/instructions/(\d+)', html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        path = AT + following[1].replace("&amp;", "&") if following else ""
    assert [int(one) for one in found] == judged(postgres_url)[:40]
    assert "No instruction flipped this way" in http.get(f"{AT}?from=1&to=2&kind=learnt").text
    assert "from=2" in http.get(AT).text  # the last two that were assessed, else
    assert http.get("/compare").status_code == 200


def test_what_flipped_is_counted_once_where_both_assessments_are_over(
    http: httpx.Client, postgres_url: str
) -> None:
    sums, page = f"{AT}/sums?from=1&to=2", f"{AT}?from=1&to=2"
    ids = judged(postgres_url)[:40]
    assert ">40<" in http.get(sums).text  # the second is still assessing: it is counted again at each look
    set_difficulty(postgres_url, 2, ids, 0.1)
    assert ">40<" not in http.get(sums).text
    change(postgres_url, "UPDATE iterations SET phase = 'complete'")
    http.get(sums)
    set_difficulty(postgres_url, 2, ids, 0.9)  # as nothing does any more: it shows that nobody looks
    assert ">40<" not in http.get(sums).text
    assert "No instruction flipped." in http.get(page).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/runs/{RUN}/flips?from=1", 422),
        (f"/v1/runs/{RUN}/flips?from=0&to=1", 422),
        (f"/v1/runs/{RUN}/flips?from=1&to=9", 404),
        (f"/v1/runs/{RUN}/flips?from=1&to=2&other=no", 404),
        (f"/v1/runs/{RUN}/flips?from=1&to=2&cursor=x", 422),
        (f"/v1/runs/{RUN}/flips?from=1&to=2&cursor=9999999999999999999", 200),
        (f"{AT}?from=1&to=9", 404),
        (f"{AT}?kind=lost", 400),
        (f"{AT}?from=x", 400),
        (f"{AT}?after=9999999999999999999", 200),
        (f"/compare?a={RUN}&b=nothing", 404),
    ],
)
def test_what_is_not_there_is_refused(http: httpx.Client, path: str, status: int) -> None:
    assert http.get(path).status_code == status


def test_a_run_without_two_assessments_says_so(http: httpx.Client, postgres_url: str) -> None:
    change(postgres_url, "DELETE FROM verdicts WHERE iteration > 1")
    assert "two iterations have been assessed" in http.get(AT).text
    assert http.get(f"{AT}/sums").status_code == 404

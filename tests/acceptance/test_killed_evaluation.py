"""Workers and the coordinator are killed in the middle of an evaluation: it goes on, and its table is the same."""

from pathlib import Path
from typing import Any

from tests.doubles.lab import Deployment, Lab, wait_until
from tests.doubles.official import write_seed_bench
from tests.doubles.test_taker import TestTaker, create_app
from tests.loopback import serving

NUM_OF_TYPE = dict.fromkeys(range(1, 10), 6)
AT_ONCE = 8
KILLED_AT = (10, 30)


def says(question: str) -> str:
    """Right for about half of the questions, unreadable for some."""
    if "box " not in question:
        return "yes"  # it is asked whether it is there
    number = int(question.split("box ")[1].split("?")[0])
    return "no idea" if number % 9 == 0 else f"The answer is {'ABCD'[number % 4 if number % 2 else 0]}."


def test_killed_and_gone_on_with(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    folder = write_seed_bench(tmp_path / "seed-bench", num_of_type=NUM_OF_TYPE)
    taker = TestTaker(says=says, delay_s=0.3)
    with Lab(tmp_path, num_pictures=2) as lab, serving(create_app(taker)) as url:
        settings = {"lease_s": 2, "concurrency": AT_ONCE}
        site = Deployment(lab, "killed", postgres_url, redis_url, settings)
        coordinator, worker = site.start_coordinator(), site.start_worker()
        site.post("/v1/benchmarks", {"name": "seed", "kind": "seed-bench", "path": str(folder)})
        model = {"engine": {"base_url": url, "model": "taker"}}
        begun = site.post("/v1/evaluations", {"benchmark": "seed", "model": model})
        for num_asked in KILLED_AT:
            wait_until(lambda wanted=num_asked: len(taker.asked) > wanted)  # type: ignore[misc]
            for child in (worker, coordinator):
                child.kill()
            coordinator, worker = site.start_coordinator(), site.start_worker()
        assert site.wait_for_end(begun["id"])["status"] == "finished"
        check(site, taker, begun["id"])


def check(site: Deployment, taker: TestTaker, evaluation_id: str) -> None:
    evaluation = site.http.get(f"/v1/evaluations/{evaluation_id}").json()
    items = site.http.get(f"/v1/evaluations/{evaluation_id}/items", params={"limit": 1000}).json()["data"]
    assert [one["outcome"] for one in items] == [expected(one) for one in items]
    right = sum(one["outcome"] == "right" for one in items)
    assert abs(evaluation["scores"]["AVG"]["value"] - 100 * right / len(items)) < 1e-9
    questions = [body for body in taker.asked if body.get("max_tokens") != 1]
    assert len(items) <= len(questions) <= len(items) + AT_ONCE * len(KILLED_AT)


def expected(item: dict[str, Any]) -> str:
    said = says(item["question"])
    if said == "no idea":
        return "unreadable"
    return "right" if said == f"The answer is {'ABCD'[item['answer']]}." else "wrong"

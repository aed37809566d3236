"""The dashboard's pages, for tests that look at each of them. In: a place with a finished run. Out: paths by name."""

from tests.browser.place import Place


def every_page(place: Place, run_id: str) -> dict[str, str]:
    """A page more is a line here, and then it is held accessible, narrow and safe."""
    instruction = place.get(f"/v1/runs/{run_id}/pools/cache?limit=1")["data"][0]["id"]
    measured, evaluations = place.measured()
    evaluation = f"/evaluations/{evaluations[0]}"
    return {
        "sign-in": "/signin",
        "runs": "/",
        "new run": "/runs/new?preset=demo",
        "run": f"/runs/{run_id}",
        "instructions": f"/runs/{run_id}/instructions?show=all&iteration=1",
        "instruction": f"/runs/{run_id}/instructions/{instruction}",
        "what changed": f"/runs/{run_id}/compare?from=1&to=1",
        "two runs": f"/compare?a={run_id}&b={run_id}",
        "endpoints": f"/runs/{run_id}/endpoints",
        "failures": f"/runs/{run_id}/failures",
        "run's events": f"/runs/{run_id}/events",
        "events": "/events",
        "run with benchmarks": f"/runs/{measured}",
        "evaluations": "/evaluations",
        "evaluation": evaluation,
        "questions": f"{evaluation}/items",
        "question": f"{evaluation}/items/1",
        "evaluations compared": f"/evaluations/compare?id={'&id='.join(evaluations)}",
        "nothing": "/runs/nothing",
    }

import os


def test_look(place, open_page, complaints):
    place.made["finished"] = place.finished()
    run = place.begin("a run with a swap", trainings=2)
    place.wait(run, lambda r: r["status"] == "finished")
    place.rest.patch(
        f"/v1/runs/{run}",
        json={
            "endpoints": {
                "teacher": {
                    "base_url": place.engine_url,
                    "model": "scripted",
                    "kind": "scripted",
                    "revision": "second",
                }
            }
        },
    ).raise_for_status()
    names = os.environ["LOOK"].split(",")
    paths = {
        "endpoints": f"/runs/{run}/endpoints",
        "run": f"/runs/{run}",
        "failures": f"/runs/{run}/failures",
        "events": f"/runs/{run}/events",
        "all": "/events",
    }
    for n in names:
        for look, options in (
            ("desk", {}),
            ("phone", {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}),
        ):
            page = open_page(paths[n], **options)
            for d in page.locator("details").all()[:2]:
                d.locator("summary").click()
            page.wait_for_timeout(1500)
            page.screenshot(path=f"/tmp/h/desk-{n}-{look}.png", full_page=True)

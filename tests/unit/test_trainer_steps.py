"""A job's steps under programs that end in every way: killed, failed, out of disk, stopped; and what is left out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from services.trainer import endings, training_states
from services.trainer.devices import devices_of
from services.trainer.endings import Ending
from services.trainer.jobs import Asked, Jobs
from services.trainer.launch.running import Program
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.plan import Plan, plan_of
from services.trainer.settings import TrainerSettings
from services.trainer.steps import MAX_DEATHS, Cancelled, JobFailed, Paused, Steps, StopReason
from services.trainer.training_states import MARKER, Shape

Act = Callable[[Plan], int]


class ScriptedParent:
    """A warm parent whose programs do what the script says, each ending at once with the status it gives."""

    def __init__(self, **script: list[Act]):
        self.script, self.ran = script, list[tuple[str, Path | None]]()

    async def run(self, program: str, arguments: dict[str, Any], *_: Any) -> Program:
        plan = Plan(**arguments.get("plan", arguments))
        self.ran.append((program, plan.resume_from))
        acts = self.script[program]
        running = Program(program, lambda _: asyncio.sleep(0))
        running.exited.set_result((acts.pop(0) if len(acts) > 1 else acts[0])(plan))
        return running


def prepares(plan: Plan) -> int:
    counts = {"records": 1, "turns": 1, "left_out": 0, "tokens": 5}
    (plan.prepared / "about-0.json").write_bytes(orjson.dumps({"counts": counts}))
    return 0


def trains(plan: Plan) -> int:
    say(plan, 8)
    plan.trained.write_text("{}")
    return 0


def publishes(plan: Plan) -> int:
    (plan.folder / "published").write_text("ckpt-1")
    return 0


def killed(plan: Plan) -> int:
    return -9


def say(plan: Plan, step: int) -> None:
    with plan.progress.open("ab") as file:
        file.write(orjson.dumps({"kind": "step", "step": step, "loss": 1.0, "learning_rate": 1.0}) + b"\n")


def saves_and_is_killed(step: int) -> Act:
    def act(plan: Plan) -> int:
        say(plan, step)
        folder = plan.states / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        training_states.mark_whole(folder, step, plan.shape)
        say(plan, step + 1)
        return -9

    return act


def ends(how: Any, message: str) -> Act:
    def act(plan: Plan) -> int:
        endings.say(plan.folder, Ending(how, message, "some_code"))
        return 1

    return act


def steps(folder: Path, parent: ScriptedParent, asked_to: StopReason | None = None) -> Steps:
    jobs = Jobs(folder / "jobs")
    asked = Asked(training_file="file-1", model="tiny", seed=1, stage="tune")
    job = jobs.create(asked, "one")
    (folder / "file.jsonl").write_text("{}\n")
    settings = TrainerSettings(tracking=[])
    plan = plan_of(job, folder, folder / "file.jsonl", jobs.folder(job.id), settings, devices_of(settings, 0))
    return Steps(job, plan, jobs, cast(WarmParent, parent), 1, lambda: asked_to)


def messages(made: Steps) -> list[str]:
    return [event["message"] for event in made.jobs.events(made.job.id)]


async def test_whole_steps_are_not_done_again(tmp_path: Path) -> None:
    parent = ScriptedParent(prepare=[prepares], train=[trains], publish=[killed, publishes])
    made = steps(tmp_path, parent)
    assert await made.run({}, tmp_path) == "ckpt-1"
    assert [name for name, _ in parent.ran] == ["prepare", "train", "publish", "publish"]
    again = ScriptedParent(publish=[publishes])
    later = steps(tmp_path, again)
    assert await later.run({}, tmp_path) == "ckpt-1"
    assert [name for name, _ in again.ran] == ["publish"]
    assert later.jobs.get(later.job.id).metrics["step"] == 8


async def test_a_killed_training_goes_on_from_its_newest_state(tmp_path: Path) -> None:
    acts = [saves_and_is_killed(3), saves_and_is_killed(5), trains]
    parent = ScriptedParent(prepare=[prepares], train=acts, publish=[publishes])
    made = steps(tmp_path, parent)
    await made.run({}, tmp_path)
    resumed = [state and state.name for name, state in parent.ran if name == "train"]
    assert resumed == [None, "checkpoint-3", "checkpoint-5"]
    told = [line["step"] for line in map(orjson.loads, made.plan.progress.read_bytes().splitlines())]
    assert told == [3, 5, 8]  # what was lost was forgotten
    assert "Goes on from step 5" in messages(made)


async def test_too_many_deaths_at_one_step_fail_the_job(tmp_path: Path) -> None:
    parent = ScriptedParent(prepare=[prepares], train=[killed])
    with pytest.raises(JobFailed, match=f"{MAX_DEATHS} times in a row; is there enough memory"):
        await steps(tmp_path, parent).run({}, tmp_path)
    assert len(parent.ran) == 1 + MAX_DEATHS


async def test_an_error_fails_the_job_with_its_words(tmp_path: Path) -> None:
    parent = ScriptedParent(prepare=[ends("failed", "line 3: is empty")])
    with pytest.raises(JobFailed, match="line 3: is empty") as caught:
        await steps(tmp_path, parent).run({}, tmp_path)
    assert caught.value.code == "some_code"


async def test_a_full_disk_pauses_and_gives_the_torn_state_back(tmp_path: Path) -> None:
    def fills(plan: Plan) -> int:
        (plan.states / "checkpoint-9").mkdir(parents=True)
        return ends("disk_full", "the disk is full")(plan)

    made = steps(tmp_path, ScriptedParent(prepare=[prepares], train=[fills]))
    with pytest.raises(Paused, match="the disk is full"):
        await made.run({}, tmp_path)
    assert list(made.plan.states.iterdir()) == []


@pytest.mark.parametrize("how", [Cancelled, Paused])
async def test_who_asks_is_heard(tmp_path: Path, how: StopReason) -> None:
    parent = ScriptedParent(prepare=[killed], train=[killed])
    with pytest.raises(how):
        await steps(tmp_path, parent, how).run({}, tmp_path)


async def test_a_state_of_other_devices_is_not_loaded(tmp_path: Path) -> None:
    parent = ScriptedParent(prepare=[prepares], train=[trains])
    made = steps(tmp_path, parent)
    folder = made.plan.states / "checkpoint-3"
    folder.mkdir(parents=True)
    training_states.mark_whole(folder, 3, Shape(4, 3, "bf16", 2))
    with pytest.raises(Paused, match=r"num_devices .* was 4, is 1.*zero_stage was 3, is 0.*from_start"):
        await made.run({}, tmp_path)
    assert (folder / MARKER).is_file()

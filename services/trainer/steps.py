"""The steps of one job: prepare, train, publish. Each leaves a mark on disk when it is whole, so that another
attempt, after whatever crash, begins behind it. In: a job and its plan. Out: the id of a published checkpoint.
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from services.trainer import durable, endings, training_states
from services.trainer.jobs import Job, Jobs
from services.trainer.launch import fresh
from services.trainer.launch.running import Program
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.plan import Plan, rendezvous
from services.trainer.progress import Progress
from services.trainer.training_states import TrainingState, states_folder
from shared import logs
from shared.errors import ComdError
from shared.types import JsonObject

log = logs.get(__name__)
POLL_S = 0.2
STOP_TIMEOUT_S = 1800.0  # for the step and the state to be finished
LINES_PER_PREPARER = 500  # below, starting another process takes longer than the lines
MAX_PREPARERS = 8
MAX_DEATHS = 5  # at the same step
TRANSIENT = {"time_left_s", "step", "loss", "learning_rate"}  # metrics of a moment, not of a checkpoint


class Cancelled(Exception):
    """Somebody cancelled the job while it ran."""


class Paused(Exception):
    """The job stops for now; its message says why, and what to do."""


StopReason = type[Cancelled] | type[Paused]


class JobFailed(ComdError):
    code = "training_failed"


class Killed(Exception):
    """A process ended without a word: somebody, or the system, killed it."""

    def __init__(self, exit_status: int):
        super().__init__(exit_status)
        self.exit_status = exit_status


class Steps:
    """One job on its way through its steps; `asked_to` says whether somebody wants to cancel or pause it."""

    def __init__(
        self,
        job: Job,
        plan: Plan,
        jobs: Jobs,
        parent: WarmParent,
        preparers: int | None,
        asked_to: Callable[[], "StopReason | None"],
    ):
        self.job, self.plan, self.jobs, self.parent = job, plan, jobs, parent
        self.preparers = preparers or min(os.cpu_count() or 1, MAX_PREPARERS)
        self.progress = Progress(job.id, plan.progress, jobs)
        self.asked_to = asked_to

    async def run(self, about: JsonObject, checkpoints: Path) -> str:
        """All that is left to do. Cancelled, Paused or JobFailed where it cannot be done."""
        self.plan.stop.unlink(missing_ok=True)
        try:
            if not (self.plan.prepared / "complete.json").is_file():
                await self._prepare()
            if self.plan.trained.is_file():
                self.progress.recall()
            else:
                await self._train()
            return await self._publish(about, checkpoints)
        except OSError as error:
            if not endings.is_disk_full(error, self.plan.folder):
                raise
            raise Paused(endings.disk_full_message(self.plan.folder)) from error

    async def _prepare(self) -> None:
        num_lines = await asyncio.to_thread(_num_lines, self.plan.training_file)
        ranks = min(self.preparers, 1 + num_lines // LINES_PER_PREPARER)

        async def attempt() -> Program:
            shutil.rmtree(self.plan.prepared, ignore_errors=True)
            self.plan.prepared.mkdir(parents=True)
            return await self._fork("prepare", _told(self.plan), ranks)

        await self._attempts("preparing", attempt)
        counts = [
            orjson.loads(path.read_bytes())["counts"] for path in self.plan.prepared.glob("about-*.json")
        ]
        total = {name: sum(count[name] for count in counts) for name in counts[0]}
        if not total["turns"]:
            raise JobFailed("the training file has no turn within the length limit")
        durable.write(self.plan.prepared / "complete.json", orjson.dumps(total))

    async def _train(self) -> None:
        async def attempt() -> Program:
            state = self._newest_state()
            self.progress.go_on_from(state.step if state else 0)
            if state:
                self.jobs.event(self.job.id, f"Goes on from step {state.step}")
            return await self._launch(
                self.plan.model_copy(update={"resume_from": state.folder if state else None})
            )

        await self._attempts("training", attempt)

    async def _attempts(self, work: str, attempt: Callable[[], Awaitable[Program]]) -> None:
        """Until one comes to its end: a killed process costs the steps since the newest state, and no more."""
        deaths, furthest = 0, -1
        while True:
            try:
                await self._until_over(await attempt(), training=work == "training")
                return
            except Killed as error:
                step = int(self.progress.metrics.get("step") or 0)
                deaths, furthest = (deaths + 1, furthest) if step <= furthest else (1, step)
                where = f"{work}, after step {step}" if work == "training" else work
                what = "was killed" if error.exit_status < 0 else "ended without a word"
                said = f"A process {what} while {where} (status {error.exit_status})"
                self.jobs.event(self.job.id, said, "warn")
                if deaths >= MAX_DEATHS:
                    last = last_words(self.plan.log)
                    raise JobFailed(
                        f"{said}, {deaths} times in a row; is there enough memory? Its log ends:\n{last}"
                    ) from error

    def _newest_state(self) -> TrainingState | None:
        for name in training_states.remove_torn(self.plan.folder):
            self.jobs.event(self.job.id, f"Training state {name} was unfinished and is removed", "warn")
        shutil.rmtree(self.plan.weights, ignore_errors=True)
        state = training_states.newest(self.plan.folder)
        if state and (changed := training_states.difference(state.shape, self.plan.shape)):
            raise Paused(
                f"the training state of step {state.step} cannot be loaded on other devices: {changed}. Set it back "
                "and resume the job, or resume it with from_start to train again from its start"
            )
        return state

    async def _publish(self, about: JsonObject, checkpoints: Path) -> str:
        folder = self.plan.folder
        metrics = {key: value for key, value in self.progress.metrics.items() if key not in TRANSIENT}
        arguments = {
            "plan": _told(self.plan),
            "checkpoints": str(checkpoints),
            "about": {**about, "created_at": int(time.time()), "metrics": metrics},
            "result": str(folder / "published"),
        }

        async def attempt() -> Program:
            return await self._fork("publish", arguments)

        await self._attempts("publishing", attempt)
        return (folder / "published").read_text()

    async def _launch(self, plan: Plan) -> Program:
        if plan.devices.launcher == "fork":
            return await self._fork("train", _told(plan), plan.devices.num_processes)
        endings.forget(plan.folder)
        return await fresh.start(plan, self._tracking())

    async def _fork(self, program: str, arguments: JsonObject, ranks: int = 1) -> Program:
        endings.forget(self.plan.folder)
        environment = {**rendezvous(ranks), **self._tracking()}
        return await self.parent.run(program, arguments, self.plan.log, environment, ranks)

    def _tracking(self) -> dict[str, str]:
        """Where trackers keep their files, unless the environment says."""
        folder = str(self.plan.folder.parent.parent / "tracking")
        places = {"TRACKIO_DIR": folder, "WANDB_DIR": folder, "TENSORBOARD_LOGGING_DIR": folder}
        places["HF_HUB_DISABLE_TELEMETRY"] = "1"  # trackio's
        return {name: place for name, place in places.items() if name not in os.environ}

    async def _until_over(self, program: Program, training: bool = False) -> None:
        asked_at: float | None = None
        while not program.exited.done():
            await asyncio.wait({program.exited}, timeout=POLL_S)
            try:
                self.progress.read()
            except OSError:
                await program.kill(signal.SIGKILL)
                await program.exited
                training_states.remove_torn(self.plan.folder)
                raise
            if asked_at is None and (how := self.asked_to()):
                asked_at = time.monotonic()
                await self._stop(program, gently=how is Paused and training)
            elif asked_at is not None and time.monotonic() - asked_at > STOP_TIMEOUT_S:
                await program.kill(signal.SIGKILL)
        self._judge(program.exited.result())

    async def _stop(self, program: Program, gently: bool) -> None:
        if gently:
            self.plan.stop.touch()
        else:
            await program.kill(signal.SIGKILL)

    def _judge(self, status: int) -> None:
        """What a program's end means; nothing where it did all its work."""
        ending = endings.read(self.plan.folder)
        if (asked_to := self.asked_to()) is Cancelled:
            raise Cancelled
        if ending is None and status == 0:
            return
        if asked_to is Paused:
            raise Paused("paused as asked")
        if ending is None:
            raise Killed(status)
        training_states.remove_torn(self.plan.folder)  # gives the space of a half-written state back
        if ending.how == "failed":
            raise JobFailed(ending.message, code=ending.code)
        raise Paused(ending.message)


def clean(folder: Path) -> None:
    """Remove what only the job itself needed, once it is over."""
    for name in ("weights", "prepared", states_folder(folder).name):
        shutil.rmtree(folder / name, ignore_errors=True)


def start_over(folder: Path) -> None:
    """Forget what earlier attempts have done."""
    (folder / "trained.json").unlink(missing_ok=True)
    clean(folder)


def _told(plan: Plan) -> JsonObject:
    """The plan as its programs get it."""
    told: JsonObject = orjson.loads(plan.model_dump_json())
    return told


def last_words(log_file: Path) -> str:
    """The last lines of a log."""
    lines = log_file.read_text(errors="replace").splitlines() if log_file.is_file() else []
    return "\n".join(lines[-8:])[-1500:]


def _num_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)

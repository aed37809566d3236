"""A job as its programs are told of it. In: the job, its paths, the settings. Out: the plan and environment."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from services.trainer import training_states
from services.trainer.devices import Devices, micro_batch_size, sharded
from services.trainer.jobs import Job
from services.trainer.serving.student_engine import free_port
from services.trainer.settings import LEARNING_RATES, Adaptation, Hyperparameters, Stage, TrainerSettings
from services.trainer.training.families import Family
from services.trainer.training_states import Shape


class Plan(BaseModel):
    """All that the programs of a job must know; it is also written to `plan.json` for fresh processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    folder: Path
    model: Path
    training_file: Path
    image_store: str
    stage: Stage
    adaptation: Adaptation
    seed: int
    hyperparameters: Hyperparameters
    learning_rate: float
    devices: Devices
    group_by_length: bool
    save_every_steps: int
    tracking: list[str]
    families: dict[str, Family] = {}
    resume_from: Path | None = None

    @property
    def shape(self) -> Shape:
        """What a training state of this plan can be loaded by."""
        d = self.devices
        micro = micro_batch_size(self.hyperparameters.batch_size, d)
        return Shape(d.num_processes, d.zero_stage, d.dtype, micro)

    @property
    def states(self) -> Path:
        return training_states.states_folder(self.folder)

    @property
    def weights(self) -> Path:
        """Where the trained weights are gathered: a whole model, or an adapter."""
        return self.folder / "weights"

    @property
    def prepared(self) -> Path:
        """Shards of tokenized examples."""
        return self.folder / "prepared"

    @property
    def progress(self) -> Path:
        """Lines that the first rank writes and the service reads."""
        return self.folder / "progress.jsonl"

    @property
    def trained(self) -> Path:
        """Written last: without it the gathered weights do not exist."""
        return self.folder / "trained.json"

    @property
    def stop(self) -> Path:
        """While this file is there, the ranks save a state and stop after their step."""
        return self.folder / "stop"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"


def plan_of(
    job: Job, model: Path, training_file: Path, folder: Path, settings: TrainerSettings, devices: Devices
) -> Plan:
    """The plan of a job; where it can go on from is added at each attempt."""
    asked = job.asked
    return Plan(
        job=job.id,
        folder=folder.absolute(),
        model=model.absolute(),
        training_file=training_file.absolute(),
        image_store=settings.image_store,
        stage=asked.stage,
        adaptation=asked.adaptation,
        seed=asked.seed,
        hyperparameters=asked.hyperparameters,
        learning_rate=asked.hyperparameters.learning_rate or LEARNING_RATES[asked.stage],
        devices=sharded(devices, asked.hyperparameters.batch_size),
        group_by_length=settings.group_by_length,
        save_every_steps=settings.save_every_steps,
        tracking=settings.tracking,
        families=settings.families,
    )


def rendezvous(ranks: int) -> dict[str, str]:
    """The environment in which forked ranks find each other."""
    return {
        "WORLD_SIZE": str(ranks),
        "LOCAL_SIZE": str(ranks),  # else DeepSpeed runs `numactl` at every step to count a CPU's devices
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }

"""Settings of the trainer service, and the hyperparameters of a job with the paper's values."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from services.trainer.training.families import Family
from shared.settings import ProcessSettings, default_image_store

Stage = Literal["pretrain", "tune"]
Adaptation = Literal["full", "lora"]
Attention = Literal["auto", "sdpa", "flash_attention_2", "eager"]
LEARNING_RATES: dict[Stage, float] = {"pretrain": 2e-3, "tune": 2e-5}  # paper, section 4.1

LORA = {"lora_rank": 128, "lora_alpha": 256.0, "lora_dropout": 0.05}  # the LLaVA recipe; the paper is silent


class VllmSettings(BaseModel):
    """How vLLM is started; environment `COMD_TRAINER_VLLM__*`. Its own variables (`VLLM_*`) reach it too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: Path | None = Field(None, description="python of an environment of its own that has vLLM")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that share the student")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="its share of a GPU between jobs")
    max_model_len: int | None = Field(None, ge=8, description="tokens; default: the student's own limit")
    flags: list[str] = Field([], description="more of vLLM's flags, as on its command line")
    start_timeout_s: float = Field(900.0, gt=0)


class TrainerSettings(ProcessSettings):
    """`python -m services.trainer --base-students.NAME FOLDER`; environment `COMD_TRAINER_*`."""

    model_config = SettingsConfigDict(env_prefix="COMD_TRAINER_")

    host: str = "127.0.0.1"
    port: int = Field(8105, ge=1, le=65535)
    base_students: dict[str, Path] = Field({}, description="name -> folder of a saved model")
    image_store: str = Field(default_factory=default_image_store)
    num_devices: int | None = Field(
        None, ge=1, description="processes of a job; default: all GPUs, of all nodes, or one without any"
    )
    launcher: Literal["auto", "fork", "torchrun", "deepspeed"] = Field(
        "auto", description="auto: fork without a GPU, torchrun with, deepspeed with a hostfile"
    )
    hostfile: Path | None = Field(None, description="several nodes: lines of 'name slots=N'")
    node_launcher: Literal["pdsh", "slurm", "openmpi", "mpich"] = Field(
        "pdsh", description="how DeepSpeed's launcher reaches the nodes of the hostfile"
    )
    threads: int = Field(1, ge=1, description="torch threads of each process, without a GPU")
    zero_stage: int = Field(2, ge=0, le=3, description="DeepSpeed's ZeRO stage")
    offload: bool = Field(False, description="ZeRO's optimizer, and with stage 3 weights, in CPU memory")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 on GPUs, else fp32"
    )
    attention: Attention = Field("auto", description="auto: FlashAttention where it is installed, else SDPA")
    gradient_checkpointing: bool | None = Field(None, description="default: on GPUs")
    micro_batch_size: int | None = Field(None, ge=1, description="default: a device's share of the batch")
    group_by_length: bool = Field(True, description="batches of records of like length, so little is padded")
    save_every_steps: int = Field(250, ge=1, description="steps between two training states to go on from")
    preparers: int | None = Field(
        None, ge=1, description="processes that tokenize; default: the cores, 8 at most"
    )
    families: dict[str, Family] = Field(
        {}, description="model type -> names of its vision and projector modules, where we do not know it"
    )
    tracking: list[str] = Field(
        ["trackio"], description="where runs are tracked: trackio, wandb, mlflow, tensorboard; [] for nowhere"
    )
    engine: Literal["embedded", "vllm"] = Field(
        "embedded", description="what serves the student between jobs"
    )
    vllm: VllmSettings = VllmSettings()
    engine_threads: int = Field(1, ge=1)
    engine_max_batch: int = Field(128, ge=1)
    lease_ttl_s: float = Field(600.0, gt=0, description="an unused lease is given up after this")
    max_upload_bytes: int = Field(8 * 1024**3, ge=1)

    @model_validator(mode="after")
    def _vllm_has_a_python(self) -> "TrainerSettings":
        if self.engine == "vllm" and (self.vllm.python is None or not self.vllm.python.is_file()):
            raise ValueError(
                f"vllm.python: engine vllm needs the python of an environment that has vLLM, got {self.vllm.python}"
            )
        return self


class Hyperparameters(BaseModel):
    """The paper's values; unknown names are refused. `learning_rate` is the stage's where none is given.

    The `lora_` ones are None unless the job's adaptation is lora.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_epochs: int = Field(1, ge=1)
    max_steps: int | None = Field(
        None, ge=1, description="optimizer steps in place of n_epochs: as many epochs as they take"
    )
    batch_size: int = Field(16, ge=1, description="records a step, over all devices")
    learning_rate: float | None = Field(None, gt=0)
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    max_length: int = Field(2048, ge=8, description="tokens; longer records are split")
    lora_rank: int | None = Field(None, ge=1)
    lora_alpha: float | None = Field(None, gt=0)
    lora_dropout: float | None = Field(None, ge=0, lt=1)

"""The trainer's devices. In: the settings, and how many GPUs there are. Out: what a job runs on, and how.

Without a GPU, ranks are forked from a warm parent; with one, they are fresh processes, since CUDA does not
survive a fork.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.trainer.settings import Attention, TrainerSettings
from shared.errors import ConfigError

Launcher = Literal["fork", "torchrun", "deepspeed"]
DEFAULT_WORKERS = 4  # of a GPU's data loader: pictures are decoded while the device computes


class Devices(BaseModel):
    """A job's processes, each with one GPU or some threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpu: bool
    num_processes: int
    launcher: Launcher
    dtype: Literal["fp32", "bf16", "fp16"]
    zero_stage: int
    offload: bool
    micro_batch_size: int | None
    gradient_checkpointing: bool
    attention: Attention
    threads: int
    loader_workers: int
    hostfile: Path | None
    node_launcher: str


def devices_of(settings: TrainerSettings, num_gpus: int) -> Devices:
    """The settings with their defaults filled in. ConfigError where they cannot be had here."""
    gpu = num_gpus > 0
    hosts = slots(settings.hostfile) if settings.hostfile else {}
    num = settings.num_devices or sum(hosts.values()) or max(num_gpus, 1)
    launcher = settings.launcher
    if launcher == "auto":
        launcher = "deepspeed" if hosts else "torchrun" if gpu else "fork"
    if gpu and launcher == "fork":
        raise ConfigError("trainer.launcher: fork cannot be used with GPUs; choose torchrun or deepspeed")
    if hosts and launcher != "deepspeed":
        raise ConfigError(f"trainer.hostfile: several nodes need the launcher deepspeed, not {launcher}")
    if gpu and not hosts and num > num_gpus:
        raise ConfigError(f"trainer.num_devices: {num} asked for, but this machine has {num_gpus} GPUs")
    if settings.dtype == "fp16" and not gpu:
        raise ConfigError("trainer.dtype: DeepSpeed has no fp16 without a GPU; choose fp32 or bf16")
    checkpointing = settings.gradient_checkpointing
    dtype = ("bf16" if gpu else "fp32") if settings.dtype == "auto" else settings.dtype
    return Devices(
        gpu=gpu,
        num_processes=num,
        launcher=launcher,
        dtype=dtype,
        zero_stage=settings.zero_stage,
        offload=settings.offload,
        micro_batch_size=settings.micro_batch_size,
        gradient_checkpointing=gpu if checkpointing is None else checkpointing,
        attention=settings.attention,
        threads=settings.threads,
        loader_workers=DEFAULT_WORKERS if gpu else 0,
        hostfile=settings.hostfile,
        node_launcher=settings.node_launcher,
    )


def micro_batch_size(batch_size: int, devices: Devices) -> int:
    """Records that a device takes at once: what the settings say, else its share of the batch."""
    return devices.micro_batch_size or max(batch_size // devices.num_processes, 1)


def sharded(devices: Devices, batch_size: int) -> Devices:
    """The devices with the ZeRO stage that a job of this batch gets; the settings' but in two cases.

    One process that keeps all in fp32 and takes its batch at once does without ZeRO, whose copies took 8 % of a
    step. And where a batch is taken in several parts it is never stage 0: there DeepSpeed (0.19.8) divides the
    gradients twice by the number of parts, and they then escape clipping.
    """
    whole = micro_batch_size(batch_size, devices) * devices.num_processes >= batch_size
    alone = devices.num_processes == 1 and devices.dtype == "fp32" and not devices.offload
    stage = devices.zero_stage
    if not whole:
        stage = max(stage, 1)
    elif alone and stage < 3:
        stage = 0
    return devices.model_copy(update={"zero_stage": stage})


def slots(hostfile: Path) -> dict[str, int]:
    """The devices of each node, from DeepSpeed's hostfile: lines of `name slots=N`."""
    try:
        lines = hostfile.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"trainer.hostfile: cannot read {hostfile}: {error.strerror}") from error
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not words[1].startswith("slots=") or not words[1][6:].isdigit():
            raise ConfigError(f"{hostfile}, line {number}: expected 'name slots=N', got {line[:80]!r}")
        found[words[0]] = int(words[1][6:])
    if not found:
        raise ConfigError(f"trainer.hostfile: {hostfile} names no node; expected lines of 'name slots=N'")
    return found

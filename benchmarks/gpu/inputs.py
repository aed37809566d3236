"""What the GPU benchmark runs on. In: this machine. Out: its devices, a student, records, and plans for them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.gpu import devices, flops
from benchmarks.hardware import cpu_name
from benchmarks.training import jobs, student
from benchmarks.training.student import Geometry
from services.trainer.devices import DEFAULT_WORKERS, Devices
from services.trainer.plan import Plan
from services.trainer.settings import Adaptation
from shared.errors import ConfigError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Workload:
    """A student, and how it is trained on each device: records a step and at once, tokens of a record."""

    name: str
    geometry: Geometry
    batch: int
    micro: int
    steps: int
    rank: int
    lengths: tuple[int, int]


FULL_SIZE = Workload("llava-7b", student.LLAVA_7B, 16, 2, 15, 128, (1024, 2048))
TINY = Workload("tiny", student.TINY, 4, 2, 8, 8, (40, 90))


@dataclass(frozen=True)
class Machine:
    """Its accelerators, all alike; the name of the CPU and no memory where there is none."""

    device: str
    memory_bytes: int
    num_devices: int

    @property
    def gpu(self) -> bool:
        return self.memory_bytes > 0


def machine(cpu: bool) -> Machine:
    """Asked of the driver, not of CUDA, which would not survive the forks that prepare records."""
    if cpu:
        return Machine(cpu_name(), 0, 1)
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"no GPU is found ({error}); try --tiny --cpu") from error
    name, mebibytes = lines[0].rsplit(",", 1)
    return Machine(name.strip(), int(mebibytes) * 2**20, len(lines))


def make(folder: Path, load: Workload, place: Machine) -> flops.Sizes:
    """Student, pictures and training file; the student, of 14 GB at full size, is made once."""
    from transformers import LlavaConfig

    made = folder / "student-complete"
    if not made.exists() or made.read_text() != load.name:
        program = [sys.executable, "-m", "benchmarks.training.student", str(folder / "student")]
        subprocess.run([*program, load.name, "cuda" if place.gpu else "cpu"], check=True, cwd=ROOT)
        made.write_text(load.name)
    rng = Random("gpu")
    number = load.batch * place.num_devices * load.steps
    jobs.write_data(folder, load.geometry, [rng.randint(*load.lengths) for _ in range(number)])
    return flops.sizes_of(LlavaConfig.from_pretrained(folder / "student"))


def plan(
    folder: Path,
    load: Workload,
    place: Machine,
    adaptation: Adaptation,
    sizes: flops.Sizes,
    micro: int | None,
) -> Plan:
    """bf16, gradient checkpointing, ZeRO as it fits; its records prepared."""
    trained = flops.language_weights(sizes) + sizes.hidden * sizes.vocabulary  # and the embeddings
    zero, offload = 2, False
    if place.gpu and adaptation == "full":
        zero, offload = devices.sharding(trained, place.memory_bytes, place.num_devices)
    placed = Devices(
        gpu=place.gpu,
        num_processes=place.num_devices,
        launcher="torchrun",
        dtype="bf16",
        zero_stage=zero,
        offload=offload,
        micro_batch_size=micro or load.micro,
        gradient_checkpointing=True,
        attention="auto",
        threads=1,
        loader_workers=DEFAULT_WORKERS if place.gpu else 0,
        hostfile=None,
        node_launcher="pdsh",
    )
    made = jobs.plan(
        folder,
        f"job-{adaptation}",
        placed,
        adaptation,
        batch_size=load.batch * place.num_devices,
        learning_rate=2e-5,
        lora_rank=load.rank,
        lora_alpha=2 * load.rank,
    )
    jobs.prepare(made)
    return made

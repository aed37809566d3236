"""How vLLM is started: its command line, its environment, the folder of its sockets.

In: settings, a model's folder. Out: what a process is made of; no secret is among it.
"""

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from services.trainer.serving.vllm_request import SERVED_NAME
from services.trainer.settings import VllmSettings
from shared.errors import ConfigError

# All that vLLM sees of our environment: neither our keys nor our Python paths.
PASSED_ON = re.compile(
    r"(PATH|HOME|USER|LOGNAME|LANG|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|(LC|XDG|CUDA|NVIDIA|NCCL|GLOO|ROCR|HIP|HSA"
    r"|OMP|MKL|KMP|TORCH|TORCHINDUCTOR|TRITON|VLLM)_(?!API_KEY).*|HF_HOME)"
)


def arguments(settings: VllmSettings, can_sleep: bool, model: Path, dtype: str, socket: Path) -> list[str]:
    """All that follows the name of its python."""
    given = {
        "--model": model,
        "--served-model-name": SERVED_NAME,
        "--uds": socket,
        "--dtype": dtype,
        "--generation-config": "vllm",  # else a model's own sampling defaults would cut answers short
        "--tensor-parallel-size": settings.tensor_parallel_size,
        "--gpu-memory-utilization": settings.gpu_memory_utilization,
        "--max-model-len": settings.max_model_len,
    }
    flags = [str(part) for flag, value in given.items() if value is not None for part in (flag, value)]
    flags += ["--enable-sleep-mode"] if can_sleep else []
    return ["-m", "vllm.entrypoints.openai.api_server", *flags, *settings.flags]


def environment(sockets: Path | None) -> dict[str, str]:
    """Its variables. With a folder of sockets: those of a server, development routes and all."""
    kept = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    ours = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": "127.0.0.1",
    }
    if sockets is not None:  # its processes talk to each other by sockets of their own
        ours |= {"VLLM_RPC_BASE_PATH": str(sockets), "VLLM_SERVER_DEV_MODE": "1"}
    return {**kept, **ours}


def private_folder(home: Path) -> Path:
    """A short path, because socket paths end at 107 bytes; the same for the same home; closed to all others."""
    name = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"comd-vllm-{os.geteuid()}-{name}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) != 0o700
    ):
        raise ConfigError(f"{folder}: expected a folder that only we may enter (mode 0700); remove it")
    return folder

"""How a program of a job ended, in its own words. In: an exception in a rank. Out: `ended.json` for the service.

A program that was killed leaves none: the service then starts it again. An exit status would not do, because
torchrun and DeepSpeed's launcher do not pass it on.
"""

import errno
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from services.trainer import durable
from shared.errors import ComdError

How = Literal["failed", "disk_full", "paused"]
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
# What torch and safetensors, which hide the errno, say when a file cannot grow.
NO_SPACE_WORDS = ("No space left on device", "StorageFull", "PytorchStreamWriter failed", "unexpected pos")
FULL_BELOW_BYTES = 64 * 1024 * 1024
LOST_PEER_TYPES = {"DistNetworkError", "DistBackendError", "DistStoreError"}
LOST_PEER_WORDS = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Connection refused",
    "Broken pipe",
)


@dataclass(frozen=True)
class Ending:
    how: How
    message: str
    code: str | None = None


def path_in(folder: Path) -> Path:
    return folder / "ended.json"


def read(folder: Path) -> Ending | None:
    """What the program said, or None where it could say nothing."""
    path = path_in(folder)
    return Ending(**orjson.loads(path.read_bytes())) if path.is_file() else None


def say(folder: Path, ending: Ending) -> None:
    """The first rank to speak is heard: what others say is mostly that they lost it."""
    if not path_in(folder).exists():
        durable.write(path_in(folder), orjson.dumps(asdict(ending)))


def forget(folder: Path) -> None:
    path_in(folder).unlink(missing_ok=True)


def of(error: Exception, folder: Path) -> Ending:
    """The ending that an exception stands for."""
    if is_disk_full(error, folder):
        return Ending("disk_full", disk_full_message(folder))
    if isinstance(error, ComdError):
        return Ending("failed", error.message, error.code)
    if type(error).__name__ == "OutOfMemoryError":
        said = "; lower micro_batch_size, or raise zero_stage, or set offload or gradient_checkpointing"
        return Ending(
            "failed", f"the device has too little memory: {_first_line(error)}{said}", "out_of_memory"
        )
    return Ending("failed", f"{type(error).__name__}: {_first_line(error)}", "training_failed")


def is_disk_full(error: BaseException, folder: Path) -> bool:
    """Whether a write failed for want of space, looking through the errors that wrap it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_SPACE:
            return True
        if any(word in str(seen) for word in NO_SPACE_WORDS):
            return shutil.disk_usage(folder).free < FULL_BELOW_BYTES or "No space left" in str(seen)
        seen = seen.__cause__ or seen.__context__
    return False


def disk_full_message(folder: Path, then: str = "resume the job") -> str:
    """What a person should know, and do."""
    free = shutil.disk_usage(folder).free
    return (
        f"the disk of {folder} is full ({free:,} bytes free); earlier checkpoints and training states are whole. "
        f"Free some space, then {then}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:500]


def is_lost_peer(error: Exception) -> bool:
    """Whether a rank fails only because another one is gone."""
    said = str(error)
    return type(error).__name__ in LOST_PEER_TYPES or any(word in said for word in LOST_PEER_WORDS)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Run a program of a job: an exception becomes its ending, and exit status 3."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        if not is_lost_peer(error):
            say(folder, of(error, folder))
        raise SystemExit(3) from error

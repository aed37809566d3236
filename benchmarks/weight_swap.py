"""New weights for a serving vLLM: read in place, against a new process.

In: the python of an environment with vLLM (`make test-vllm` makes one with its CPU build), and two checkpoints
that the trainer published, else two tiny students. Out: seconds of each step, and a baseline by hardware.
"""

import argparse
import asyncio
import json
import re
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.hardware import cpu_name
from services.trainer.serving.vllm_engine import VllmEngine
from services.trainer.settings import VllmSettings
from shared.images import ImageStore
from tests.published_student import published

BASELINES = Path(__file__).parent / "baselines"


def main() -> None:
    """Alternates between the two checkpoints; the first start, which may fill caches, is not counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--checkpoints", type=Path, nargs=2, help="published students of one form")
    parser.add_argument("--image-store", help="where their canaries' pictures are")
    parser.add_argument("--reloads", type=int, default=6)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--flags", nargs="*", default=["--enforce-eager"], help="for vLLM")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="comd-swap-") as folder:
        report = asyncio.run(_measure(options, Path(folder)))
    name = str(report["device"])
    BASELINES.mkdir(exist_ok=True)
    (BASELINES / f"weight_swap-{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


async def _measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    store = ImageStore(options.image_store or str(folder / "images"))
    students = options.checkpoints or [published(folder, store, seed) for seed in (0, 1)]
    settings = VllmSettings(python=options.python.absolute(), flags=options.flags)
    engine = VllmEngine(settings, store, folder / "serving", lambda: None)
    try:
        await engine.load(students[0].name, students[0])
        reloads = await _swaps(engine, students, options.reloads, engine.sleep)
        restarts = await _swaps(engine, students, options.restarts, engine.process.stop)
        return {
            "device": _slug(torch.cuda.get_device_name()) if engine.process.on_gpu else cpu_name(),
            "weights_bytes": (students[0] / "model.safetensors").stat().st_size,
            "reload_s": _summary(reloads, "reload"),
            "restart_s": _summary(restarts, "restart"),
            "steps": {"reload": reloads[-1], "restart": restarts[-1]},
        }
    finally:
        await engine.close()


async def _swaps(
    engine: VllmEngine,
    students: Sequence[Path],
    count: int,
    before: Callable[[], Coroutine[Any, Any, None]],
) -> list[dict[str, Any]]:
    done = []
    for number in range(1, count + 1):
        await before()
        student = students[number % 2]
        await engine.load(student.name, student)
        done.append(dict(engine.swap))
    return done


def _summary(swaps: Sequence[dict[str, Any]], how: str) -> dict[str, float]:
    """Whole swaps, canary included."""
    assert {swap["how"] for swap in swaps} == {how}
    wholes = [sum(seconds for seconds in swap.values() if isinstance(seconds, float)) for swap in swaps]
    return {"median": round(median(wholes), 3), "min": round(min(wholes), 3), "max": round(max(wholes), 3)}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


if __name__ == "__main__":
    main()

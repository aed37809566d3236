"""Old weights under a new name, as a swap gone wrong leaves them: the canary finds them in the real vLLM."""

from pathlib import Path

import pytest

from comd.engine.model import load
from services.trainer.devices import devices_of
from services.trainer.jobs import Asked, Job
from services.trainer.plan import plan_of
from services.trainer.serving import probes
from services.trainer.serving.engine import CanaryDisagrees
from services.trainer.serving.vllm_engine import VllmEngine
from services.trainer.settings import TrainerSettings, VllmSettings
from services.trainer.training.publish import publish
from shared.images import ImageStore
from tests.tiny_student import make_student, training_file

FLAGS = ["--enforce-eager", "--max-num-seqs", "16"]


def published(tmp_path: Path, store: ImageStore, change: float) -> Path:
    """A student with decided answers; `change` alters how sure it is of them, but not the answers."""
    import torch

    asked = Asked(training_file="file-1", model="tiny", seed=1, stage="tune")
    job = Job(id=f"ftjob-{change}", number=1, asked=asked, created_at=0)
    settings = TrainerSettings(image_store=store.url)
    file = training_file(tmp_path / "train.jsonl", store)
    base = make_student(tmp_path / "base", hidden=64)
    plan = plan_of(job, base, file, tmp_path / job.id, settings, devices_of(settings, 0))
    made = load("draft", make_student(plan.weights, hidden=64), None)
    with torch.no_grad():
        made.model.lm_head.weight.mul_(20 * (1 + change))
    made.model.save_pretrained(plan.weights)
    checkpoints = tmp_path / "checkpoints"
    return checkpoints / publish(plan, checkpoints, {**asked.model_dump(), "lineage": ["tiny"]})


async def test_stale_weights_are_refused_after_a_restart_at_the_latest(
    tmp_path: Path, vllm_python: Path
) -> None:
    store = ImageStore(str(tmp_path / "images"))
    old, new = published(tmp_path, store, 0.0), published(tmp_path, store, 0.05)
    assert len(probes.read(new)) >= 6
    settings = VllmSettings(python=vllm_python, flags=FLAGS)
    engine = VllmEngine(settings, store, tmp_path / "serving", lambda: None)
    try:
        await engine.load(old.name, old)
        await engine.load(new.name, new)
        assert engine.swap["how"] == "reload"
        (new / "model.safetensors").write_bytes((old / "model.safetensors").read_bytes())
        with pytest.raises(CanaryDisagrees, match="mean log-probability"):
            await engine.load(new.name, new)
        assert engine.swap["how"] == "restart"
        assert engine.loaded is None
    finally:
        await engine.close()

"""Old weights under a new name, as a swap gone wrong leaves them: the canary finds them in the real vLLM."""

from pathlib import Path

import pytest

from services.trainer.serving import probes
from services.trainer.serving.engine import CanaryDisagrees
from services.trainer.serving.vllm_engine import VllmEngine
from services.trainer.settings import VllmSettings
from shared.images import ImageStore
from tests.published_student import published

FLAGS = ["--enforce-eager", "--max-num-seqs", "16"]


async def test_stale_weights_are_refused_after_a_restart_at_the_latest(
    tmp_path: Path, vllm_python: Path
) -> None:
    store = ImageStore(str(tmp_path / "images"))
    old, new = published(tmp_path, store), published(tmp_path, store, change=0.05)
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

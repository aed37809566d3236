"""Publishing. In: the weights a job gathered. Out: a checkpoint folder that transformers and vLLM load,
named by the hash of its content; its marker file is written last, and without it the folder does not exist.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from comd.engine.model import load
from comd.engine.processor import copy_processor
from services.trainer import durable, endings, training_states
from services.trainer.checkpoints import MARKER
from services.trainer.plan import Plan
from services.trainer.serving import probes
from services.trainer.serving.probes import CANARY
from services.trainer.training import lora
from services.trainer.training.canary import canary_prompts, make_canary
from services.trainer.training.card import card
from shared.images import ImageStore

CARD = "README.md"  # where model hubs look for it
ADAPTER = "adapter"
LEVEL_LEFT_OUT = {"clip_vision_model", "siglip_vision_model"}  # towers that transformers 5 saves otherwise
KEPT_OUT = {MARKER, CARD, CANARY}  # of the content that names a checkpoint


def main(arguments: dict[str, Any]) -> None:
    """A forked process: reload the gathered weights in one plain process and publish them."""
    plan = Plan(**arguments["plan"])
    with endings.told(plan.folder):
        checkpoint = publish(plan, Path(arguments["checkpoints"]), arguments["about"])
        durable.write(Path(arguments["result"]), checkpoint.encode())


def publish(plan: Plan, checkpoints: Path, about: dict[str, Any]) -> str:
    """Save the model again, normalised, and move it to its name. Gives the checkpoint's id."""
    draft = checkpoints / f".draft-{plan.job}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _save(plan, draft, about["model"])
        digest = content_hash(draft)
        name = f"ckpt-{digest[:16]}"
        final = checkpoints / name
        if not (final / MARKER).is_file():
            whole = {**about, "id": name, "content_hash": digest}
            (draft / CARD).write_text(card(whole), encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            training_states.flush(draft)
            draft.rename(final)
            write_marker(final, whole)
        return name
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _save(plan: Plan, draft: Path, base: str) -> None:
    adapted = lora.is_adapter(plan.weights)
    loaded = load("published", plan.model if adapted else plan.weights, ImageStore(plan.image_store))
    if adapted:
        loaded.model = lora.merged(loaded.model, plan.weights).eval()
    model = loaded.model
    model.config.use_cache = True
    # transformers saves under the names that it read, and ZeRO-3's are wrong; without this it takes its own.
    vars(model).pop("_weight_conversions", None)
    model.save_pretrained(draft, max_shard_size="1TB")  # one file, so that its names can be mended
    copy_processor(plan.model, draft)
    if model.config.vision_config.model_type in LEVEL_LEFT_OUT:
        normalise_names(draft / "model.safetensors")
    probes.write(draft, make_canary(loaded, canary_prompts(plan.training_file)))
    if adapted:
        lora.publish_adapter(plan.weights, draft / ADAPTER, base)
    for weights in draft.rglob("*.safetensors"):  # which safetensors lets nobody else read
        weights.chmod((draft / "config.json").stat().st_mode)


def normalise_names(path: Path) -> None:
    """Put back the level `vision_model.` that transformers 5 leaves out of CLIP and SigLIP towers and vLLM wants."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = file.metadata()
    renamed = {normal_name(name): tensor for name, tensor in tensors.items()}
    if renamed.keys() != tensors.keys():
        save_file(renamed, path, metadata=about)


def normal_name(name: str) -> str:
    """`vision_tower.embeddings...` as `vision_tower.vision_model.embeddings...`; other names as they are."""
    head, tower, rest = name.partition("vision_tower.")
    clip = ("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.", "head.")
    return f"{head}{tower}vision_model.{rest}" if tower and rest.startswith(clip) else name


def content_hash(folder: Path) -> str:
    """The sha256 over the names and contents of a checkpoint's files."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in KEPT_OUT:
            with path.open("rb") as file:
                whole.update(f"{path.relative_to(folder)}\0".encode())
                whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def write_marker(folder: Path, about: dict[str, Any]) -> None:
    durable.write(folder / MARKER, json.dumps(about, indent=2).encode())
    durable.flush_folder(folder.parent)

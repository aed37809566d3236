"""Publishing. In: the weights a job gathered. Out: a checkpoint folder that transformers and vLLM load,
named by the hash of its content; its marker file is written last, and without it the folder does not exist.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comd.engine.model import load
from services.trainer import durable
from services.trainer.checkpoints import MARKER
from services.trainer.serving import probes
from services.trainer.serving.probes import CANARY
from services.trainer.training.canary import canary_prompts, make_canary
from shared.images import ImageStore
from shared.types import JsonObject

KEPT_OUT = {MARKER, CANARY, "training_args.bin", "README.md"}


def main(arguments: dict[str, Any]) -> None:
    """A forked process: reload the gathered weights in one plain process and publish them."""
    questions = canary_prompts(Path(arguments["training_file"]))
    store = ImageStore(arguments["image_store"])
    paths = Path(arguments["weights"]), Path(arguments["checkpoints"])
    checkpoint = publish(*paths, arguments["about"], questions, store)
    Path(arguments["result"]).write_text(checkpoint)


def publish(
    weights: Path,
    checkpoints: Path,
    about: dict[str, Any],
    questions: Sequence[list[JsonObject]] = (),
    store: ImageStore | None = None,
) -> str:
    """Save the model again, normalised, with its canary, and move it to its name. Gives the checkpoint's id."""
    loaded = load("published", weights, store)
    draft = checkpoints / f".draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    loaded.model.config.use_cache = True
    # transformers saves under the names that it read, and ZeRO-3's are wrong; without this it takes its own.
    vars(loaded.model).pop("_weight_conversions", None)
    loaded.model.save_pretrained(draft, max_shard_size="1TB")  # one file, so that its names can be mended
    loaded.renderer.processor.save_pretrained(draft)
    normalise_names(draft / "model.safetensors")
    probes.write(draft, make_canary(loaded, questions))
    digest = content_hash(draft)
    name = f"ckpt-{digest[:16]}"
    final = checkpoints / name
    if not (final / MARKER).is_file():
        shutil.rmtree(final, ignore_errors=True)
        _flush(draft)
        draft.rename(final)
        write_marker(final, {**about, "id": name, "content_hash": digest})
    shutil.rmtree(draft, ignore_errors=True)
    return name


def normalise_names(path: Path) -> None:
    """Put back the level `vision_model.` that transformers 5 leaves out of CLIP towers and vLLM wants."""
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
    clip = ("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.")
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


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            durable.flush_file(path)
    durable.flush_folder(folder)

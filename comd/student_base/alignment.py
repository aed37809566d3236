"""Pre-trains the vision tower on the world, as CLIP's tower comes pre-trained: each picture token learns to point
at the words for what its cell shows.

In: a model with a fresh tower. Out: the same model, its tower trained.
"""

from random import Random

import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, LlavaForConditionalGeneration

from comd.student_base.architecture import HIDDEN
from comd.world.render import draw_scene
from comd.world.scene import COLOURS, PLACES, SHAPES, Scene, random_scene_of

NUM_STEPS = 150
NUM_PICTURES = 2_000
BATCH = 96
LEARNING_RATE = 2e-3
_GROUPS = (("empty", *COLOURS), ("empty", *SHAPES), PLACES)
"""Each picture token picks one word of every group."""


def align(model: LlavaForConditionalGeneration, processor: CLIPImageProcessorPil, seed: int) -> float:
    """Trains the tower; gives back the share of words rightly picked in the last batches."""
    rng = Random(f"tower|{seed}")
    scenes = [random_scene_of(rng, heldout=False) for _ in range(NUM_PICTURES)]
    pictures = [draw_scene(scene, rng) for scene in scenes]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]  # (P, 3, H, W)
    targets = torch.tensor([_targets(scene) for scene in scenes])  # (P, 4, groups)
    tower = model.model.vision_tower
    words = nn.ModuleList([nn.Linear(HIDDEN, len(group)) for group in _GROUPS])
    optimizer = torch.optim.AdamW(
        [*tower.parameters(), *words.parameters()], lr=LEARNING_RATE, weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=NUM_STEPS, pct_start=0.05
    )
    right: list[float] = []
    for _ in range(NUM_STEPS):
        batch = torch.tensor([rng.randrange(NUM_PICTURES) for _ in range(BATCH)])
        loss, share = _loss(tower, words, pixels[batch], targets[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        right.append(share)
    return sum(right[-10:]) / 10


def _targets(scene: Scene) -> list[list[int]]:
    return [
        [
            1 + COLOURS.index(thing.colour) if thing else 0,
            1 + SHAPES.index(thing.shape) if thing else 0,
            cell,
        ]
        for cell, thing in enumerate(scene)
    ]


def _loss(tower: nn.Module, words: nn.ModuleList, pixels: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    # The features that the projector will get: last hidden state, class token dropped.
    features = tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]  # (B, 4, HIDDEN)
    loss, right = torch.zeros(()), 0.0
    for number, head in enumerate(words):
        logits, target = head(features).flatten(0, 1), targets[..., number].flatten()
        loss = loss + nn.functional.cross_entropy(logits, target)
        right += float((logits.argmax(-1) == target).float().mean()) / len(words)
    return loss, right

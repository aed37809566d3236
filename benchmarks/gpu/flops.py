"""Model FLOPs of training a LLaVA-form student, and the share of the device's peak that they make. Pure.

In: the model's sizes and the records' lengths. Out: floating-point operations of forward and backward.

How it is counted. A product of (a, b) by (b, c) is 2abc operations. Of a linear layer, forward is one product; backward
is one for the gradient of its input, where something before it is trained, and one for its weight's, where that is
trained. So a trained weight costs 6 operations a token, a frozen one that gradients pass through 4, a frozen one with
nothing trained before it 2 (the vision tower), a trained one with nothing trained before it 4 (the projector's first
layer). Attention is its two products, over the pairs of places that the causal mask lets through; backward is twice
forward. Not counted: what gradient checkpointing computes again (this is MFU, not HFU), padding, norms, activations,
softmax, the optimizer, embedding look-ups, and layers of the tower behind the one whose features are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.trainer.settings import Adaptation

PASS = 2  # operations for each weight and token in one product: a multiplication and an addition
FROZEN_FIRST, FROZEN_PASSED, TRAINED_FIRST, TRAINED = 1 * PASS, 2 * PASS, 2 * PASS, 3 * PASS


@dataclass(frozen=True)
class Sizes:
    """Of the language model, then of the tower; `vision_layers` are those up to the features that are used."""

    hidden: int
    layers: int
    intermediate: int
    key_value: int  # width of all keys of a place: less than `hidden` in grouped-query attention
    vocabulary: int
    vision_hidden: int
    vision_layers: int
    vision_intermediate: int
    patch_size: int
    patches: int

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of a language layer: query, key, value, output, gate, up, down."""
        h, kv, wide = self.hidden, self.key_value, self.intermediate
        return [(h, h), (h, kv), (h, kv), (h, h), (h, wide), (h, wide), (wide, h)]


def sizes_of(config: Any) -> Sizes:
    """From a LlavaConfig."""
    text, vision = config.text_config, config.vision_config
    behind = config.vision_feature_layer
    return Sizes(
        hidden=text.hidden_size,
        layers=text.num_hidden_layers,
        intermediate=text.intermediate_size,
        key_value=text.num_key_value_heads * text.hidden_size // text.num_attention_heads,
        vocabulary=text.vocab_size,
        vision_hidden=vision.hidden_size,
        vision_layers=vision.num_hidden_layers + behind + 1 if behind < 0 else behind,
        vision_intermediate=vision.intermediate_size,
        patch_size=vision.patch_size,
        patches=(vision.image_size // vision.patch_size) ** 2,
    )


def training_flops(
    sizes: Sizes, lengths: Sequence[int], adaptation: Adaptation = "full", rank: int = 0, causal: bool = True
) -> float:
    """Of one pass over records of these lengths in tokens, each with one picture; the tower frozen, stage 2."""
    tokens = sum(lengths)
    pairs = sum(length * (length + 1) // 2 if causal else length**2 for length in lengths)
    each = FROZEN_PASSED if adaptation == "lora" else TRAINED
    weights = language_weights(sizes)
    adapters = sizes.layers * sum(rank * (a + b) for a, b in sizes.linears) if adaptation == "lora" else 0
    attention = sizes.layers * 2 * PASS * sizes.hidden * pairs * 3
    language = tokens * (each * weights + TRAINED * adapters) + attention
    return float(language + len(lengths) * picture_flops(sizes))


def language_weights(sizes: Sizes) -> int:
    """Weights of the language model's linear layers and output head; its embeddings are looked up, not multiplied."""
    return sizes.layers * sum(a * b for a, b in sizes.linears) + sizes.hidden * sizes.vocabulary


def picture_flops(s: Sizes) -> int:
    """Tower forward only, and the projector of two layers, trained whole."""
    h, places = s.vision_hidden, s.patches + 1  # a class token beside the patches
    layer = places * (4 * h * h + 2 * h * s.vision_intermediate) * FROZEN_FIRST + 2 * PASS * h * places**2
    patching = s.patches * 3 * s.patch_size**2 * h * FROZEN_FIRST
    projector = s.patches * (TRAINED_FIRST * h * s.hidden + TRAINED * s.hidden**2)
    return s.vision_layers * layer + patching + projector


def utilisation(flops: float, seconds: float, peak_flops: float, num_devices: int) -> float:
    """MFU: model FLOPs over what the devices could do in that time."""
    return flops / (seconds * peak_flops * num_devices)

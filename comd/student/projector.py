"""The projector between tower and language model. In: its kind, sizes and a seed. Out: LlavaConfig's
settings for it, and its weights.

The paper's is one matrix W (d_t, d_v) without a bias. LlavaConfig always builds linear - activation - linear
with d_t units between, so W is held as relu halves: W x = W relu(x) - W relu(-x).
"""

from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import ConfigError


def settings(kind: str, d_v: int, d_t: int) -> dict[str, Any]:
    """What LlavaConfig must say. ConfigError where W has no room: it takes two units for each feature."""
    if kind == "mlp":
        return {"projector_hidden_act": "gelu", "multimodal_projector_bias": True}
    if d_t < 2 * d_v:
        raise ConfigError(
            f"projector linear: the paper's single matrix needs a language model at least twice as wide as the "
            f"tower; the tower has {d_v} features, the language model {d_t}; take --projector mlp"
        )
    return {"projector_hidden_act": "relu", "multimodal_projector_bias": False}


@torch.no_grad()
def fill(projector: Any, kind: str, seed: int) -> None:
    """Set every weight of a LlavaMultiModalProjector by the seed."""
    draw = torch.Generator().manual_seed(seed)
    if kind == "mlp":
        for layer in (projector.linear_1, projector.linear_2):
            for parameter in (layer.weight, layer.bias):
                parameter.copy_(_uniform(parameter.shape, layer.in_features, draw))
    else:
        d_v, d_t = projector.linear_1.in_features, projector.linear_1.out_features
        hold(projector.linear_1, projector.linear_2, _uniform((d_t, d_v), d_v, draw))


def hold(first: nn.Linear, second: nn.Linear, matrix: Tensor) -> None:
    """`second(relu(first(x)))` becomes `matrix @ x`: first = [I; -I; 0], second = [W, -W, 0]."""
    d_v = matrix.shape[1]
    identity = torch.eye(d_v)
    first.weight.zero_()
    second.weight.zero_()
    first.weight[:d_v], first.weight[d_v : 2 * d_v] = identity, -identity
    second.weight[:, :d_v], second.weight[:, d_v : 2 * d_v] = matrix, -matrix


def _uniform(shape: Any, fan_in: int, draw: torch.Generator) -> Tensor:
    """torch's own default for linear layers: uniform within 1 / sqrt(fan_in)."""
    return torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=draw)

"""Which parameters a stage trains, by architecture: the vision encoder never, the projector always."""

from typing import Any

from services.trainer.settings import Stage
from shared.errors import ConfigError

VISION = ("vision_tower.", "vision_model.", "visual.")
PROJECTOR = ("multi_modal_projector.", "connector.")


def role_of(name: str) -> str:
    """vision, projector or language: the part of the model that a parameter belongs to."""
    if any(mark in name for mark in PROJECTOR):
        return "projector"
    return "vision" if any(mark in name for mark in VISION) else "language"


def set_trainable(model: Any, stage: Stage) -> list[str]:
    """Freeze what the stage does not train; the names of what it does. ConfigError without a projector."""
    trained = {"projector"} if stage == "pretrain" else {"projector", "language"}
    names = []
    seen = set()
    for name, parameter in model.named_parameters():
        role = role_of(name)
        seen.add(role)
        parameter.requires_grad_(role in trained)
        if role in trained:
            names.append(name)
    if missing := {"vision", "projector", "language"} - seen:
        raise ConfigError(
            f"{type(model).__name__}: found no {' and no '.join(sorted(missing))} among its parameters; "
            "students are of the LLaVA family"
        )
    return names


def linear_names(model: Any) -> list[str]:
    """The language model's linear layers, which LoRA adapts; not the output head."""
    from torch import nn

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and role_of(f"{name}.") == "language"
        and not name.endswith("lm_head")
    ]


def projector_modules(model: Any) -> list[str]:
    """The outermost modules of the projector."""
    found = [name for name, _ in model.named_modules() if name and role_of(f"{name}.") == "projector"]
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]

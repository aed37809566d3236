"""Model families: which parameters are the vision encoder, the projector, the language model.

In: a model and a stage. Out: what is trained. The vision encoder never is, the projector always.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import ConfigError

if TYPE_CHECKING:  # the settings hold families
    from services.trainer.settings import Stage

Role = Literal["vision", "projector", "language"]
TRAINED: dict[str, frozenset[Role]] = {
    "pretrain": frozenset({"projector"}),
    "tune": frozenset({"projector", "language"}),
}


class Family(BaseModel):
    """Where an architecture keeps its parts: names of modules or parameters, below any wrapping module.

    A projector may lie inside of the vision encoder; all that neither names is the language model's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vision: tuple[str, ...] = Field(min_length=1)
    projector: tuple[str, ...] = Field(min_length=1)

    def role_of(self, name: str) -> Role:
        if any(_inside(name, part) for part in self.projector):
            return "projector"
        return "vision" if any(_inside(name, part) for part in self.vision) else "language"


_TOWER = Family(vision=("vision_tower",), projector=("multi_modal_projector",))
_TILED = Family(vision=("vision_tower",), projector=("multi_modal_projector", "image_newline"))
_IDEFICS = Family(vision=("vision_model",), projector=("connector",))

KNOWN: dict[str, Family] = {
    "gemma3": _TOWER,
    "idefics3": _IDEFICS,
    "internvl": _TOWER,
    "llava": _TOWER,
    "llava_next": _TILED,
    "llava_onevision": _TILED,
    "qwen2_5_vl": Family(vision=("visual",), projector=("visual.merger",)),
    "qwen3_vl": Family(vision=("visual",), projector=("visual.merger", "visual.deepstack_merger_list")),
    "smolvlm": _IDEFICS,
}


def family_of(model_type: str, families: Mapping[str, Family] | None = None) -> Family:
    """The family of a `config.model_type`; what the settings say goes first. ConfigError names the way out."""
    known = {**KNOWN, **(families or {})}
    if model_type not in known:
        raise ConfigError(
            f"students of type {model_type!r} are not known; known are {', '.join(sorted(known))}. Name the "
            f'parts of this one in the trainer\'s setting families: {{"{model_type}": {{"vision": '
            '["vision_tower"], "projector": ["multi_modal_projector"]}}, by its modules\' names'
        )
    return known[model_type]


def role_of(model_type: str, name: str, families: Mapping[str, Family] | None = None) -> Role:
    """The part of the model that a parameter or module belongs to."""
    return family_of(model_type, families).role_of(name)


def set_trainable(model: Any, stage: "Stage", families: Mapping[str, Family] | None = None) -> list[str]:
    """Freeze what the stage does not train; the names of what it does.

    ConfigError where the family is unknown, or names a part that this model does not have.
    """
    family, names, seen = family_of(model.config.model_type, families), [], set()
    for name, parameter in model.named_parameters():
        role = family.role_of(name)
        seen.add(role)
        parameter.requires_grad_(role in TRAINED[stage])
        if role in TRAINED[stage]:
            names.append(name)
    if missing := {"vision", "projector", "language"} - seen:
        raise ConfigError(
            f"{type(model).__name__}: found no {' and no '.join(sorted(missing))} among its parameters by "
            f"{family.model_dump()}; correct the trainer's setting families for {model.config.model_type!r}"
        )
    return names


def linear_names(
    model: Any, role: Role = "language", families: Mapping[str, Family] | None = None
) -> list[str]:
    """The linear layers of a part, for LoRA; never the output layer, whose weights may be the embeddings'."""
    from torch.nn import Linear

    family, output = family_of(model.config.model_type, families), model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, Linear) and module is not output and family.role_of(name) == role
    ]


def projector_modules(model: Any, families: Mapping[str, Family] | None = None) -> list[str]:
    """The projector's modules, which a LoRA job trains whole: peft's `modules_to_save`.

    A bare parameter (`image_newline`) is no module: it stays frozen in such a job.
    """
    family = family_of(model.config.model_type, families)
    return [
        found
        for name, module in model.named_modules()
        if any(name == part or name.endswith(f".{part}") for part in family.projector)
        for found in _callable_modules(name, module)
    ]


def _callable_modules(name: str, module: Any) -> Iterator[str]:
    """A list of modules as its members: peft can wrap only what has a forward of its own."""
    from torch.nn import ModuleList

    if isinstance(module, ModuleList):
        yield from (f"{name}.{at}" for at in range(len(module)))
    else:
        yield name


def _inside(name: str, part: str) -> bool:
    return f".{part}." in f".{name}."

"""What is asked for and what was made: the types at the folder's door, without torch."""

from dataclasses import dataclass
from pathlib import Path

PROJECTORS = ("linear", "mlp")
DTYPES = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Plan:
    """`dtype` None keeps the language model's; `chat_template` None takes the one its tokens call for."""

    llm: Path
    vision: Path
    out: Path
    projector: str = "linear"
    seed: int = 0
    dtype: str | None = None
    chat_template: Path | None = None


@dataclass(frozen=True)
class Made:
    """What to tell a person; `parameters` by part, tied ones counted once."""

    parameters: dict[str, int]
    dtype: str
    image_tokens: int
    context: int
    stop_token: str

"""The chat template, for training and serving alike. In: the tokenizer, or a file. Out: the template's text.

Answers and their stop tokens stand in generation blocks, from which training takes its labels.
"""

from pathlib import Path
from typing import Any

from comd.student.vocabulary import has_chatml
from shared.errors import ConfigError

VICUNA = Path(__file__).with_name("vicuna.jinja")
CHATML = Path(__file__).with_name("chatml.jinja")


def choose(tokenizer: Any, file: Path | None) -> str:
    """The given template, else ChatML where the tokenizer has its tokens, else Vicuna's wording."""
    file = file or (CHATML if has_chatml(tokenizer) else VICUNA)
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as a chat template: {error}") from error

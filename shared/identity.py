"""Names that are hashes: instructions, seeds and requests. In: what a thing is. Out: the same name anywhere.

Nothing here depends on a run, a row or a counter, so that runs can share answers (algorithm, steps 1 and 2).
"""

import hashlib
from typing import Any

import orjson

MASK_63_BITS = (1 << 63) - 1
MASK_31_BITS = (1 << 31) - 1  # the widest seed that every OpenAI-compatible engine takes


def digest(*parts: Any) -> str:
    """The sha256 hex of the parts as canonical JSON; lists keep ("a", "bc") apart from ("ab", "c")."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def seed_instruction_id(dataset: str, dialogue: str, turn: int) -> int:
    """The 63-bit id of an instruction that came with the data set."""
    return int(digest("seed", dataset, dialogue, turn)[:16], 16) & MASK_63_BITS


def augmented_instruction_id(parent: int, born_in: int, text: str) -> int:
    """The 63-bit id of an instruction that the augmentor wrote."""
    return int(digest("augmented", parent, born_in, text)[:16], 16) & MASK_63_BITS


def request_seed(configured_seed: int, role: str, image: str | None, text: str, attempt: int) -> int:
    """The sampling seed of one request: a hash of what is asked, never of a run or row."""
    return int(digest(configured_seed, role, image, text, attempt)[:16], 16) & MASK_31_BITS


def request_hash(
    *,
    role: str,
    image: str | None,
    text: str,
    prompt_version: str,
    model_revision: str,
    sampling: dict[str, Any],
    seed: int,
) -> str:
    """The name of an answer: equal exactly when the whole request to the model is equal."""
    return digest(role, image, text, prompt_version, model_revision, sampling, seed)


def engine_revision(base_url: str, model: str, card: dict[str, Any]) -> str:
    """Which model answers, where the operator gave it no revision: by what the server's list says of it."""
    return f"{base_url}|{model}|{card.get('root') or model}"

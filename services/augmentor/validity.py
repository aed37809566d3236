"""Whether a text can be a question at all, before its novelty is asked (algorithm, step 6)."""

import unicodedata

from services.augmentor.novelty import normal_form, tokens

MIN_WORDS = 4  # "more than three words"
LEAKED = (
    "kind of task:",
    "question:",
    "<image>",
    "</s>",
    "<|",
    "|>",
    "[inst]",
    "assistant:",
    "user:",
    "new question",
    "<your question>",
)


def invalid_reason(text: str) -> str | None:
    """Why the text is no valid instruction, or None where it is one."""
    if not text.strip():
        return "empty"
    if any(marker in text.casefold() for marker in LEAKED):
        return "prompt marker leaked"
    if unicodedata.category(text.strip()[0]).startswith("P"):
        return "starts with punctuation"
    if num_words(text) < MIN_WORDS:
        return "three words or fewer"
    return None


def num_words(text: str) -> int:
    """Tokens, or characters (white space aside) in scripts that the tokenizer drops."""
    return len(tokens(text)) or len(normal_form(text).replace(" ", ""))

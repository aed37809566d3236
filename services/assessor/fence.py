"""Makes an answer safe to show to the judge: a mark nobody can guess, no control characters, a visible cut."""

import hashlib
import hmac
import unicodedata

import orjson

MAX_ANSWER_CHARS = 8000
KEPT_CONTROLS = "\n\t"


def mark(secret: bytes, request: dict[str, object]) -> str:
    """The fence's mark: an HMAC of the request, so unpredictable to models and equal on repeats."""
    return hmac.new(secret, orjson.dumps(request, option=orjson.OPT_SORT_KEYS), hashlib.sha256).hexdigest()[
        :24
    ]


def shown(answer: str) -> str:
    """The answer as the judge sees it; both roles' answers are treated alike."""
    kept = "".join(
        character
        for character in answer.strip()
        if character in KEPT_CONTROLS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
    )
    if len(kept) <= MAX_ANSWER_CHARS:
        return kept or "(no answer)"
    return f"{kept[:MAX_ANSWER_CHARS]}\n(cut here: {len(kept) - MAX_ANSWER_CHARS} characters more)"

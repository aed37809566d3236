"""Shows a text to the judge between two lines that carry a mark nobody can guess, so that it cannot pose as more.

In: a text, and the mark of the request. Out: the fenced text; what was cut stands in the closing line.
"""

import hashlib
import hmac
import unicodedata

import orjson

from shared.plain_text import plain

MAX_CHARS = 8000  # of each text, whoever wrote it
MARK_DIGITS = 24
LONGEST_LETTER = 32  # marks on one letter beyond which a cut no longer spares it


def mark(secret: bytes, request: dict[str, object]) -> str:
    """The fence's mark: an HMAC of the request, so unpredictable to models and equal on repeats."""
    said = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    return hmac.new(secret, said, hashlib.sha256).hexdigest()[:MARK_DIGITS]


def fenced(label: str, mark: str, text: str) -> str:
    """`text` between its opening and its closing line. Only the closing line speaks of it, behind the mark."""
    whole = plain(text).strip()
    shown = _cut(whole)
    note = f", cut after {len(shown)} of {len(whole)} characters" if len(shown) < len(whole) else ""
    note = note or ("" if shown else ", empty")
    return f"[{label} {mark}]\n{shown}\n[end of {label} {mark}{note}]"


def _cut(text: str) -> str:
    """The first `MAX_CHARS` characters, never a letter without its accents."""
    if len(text) <= MAX_CHARS:
        return text
    end = MAX_CHARS
    while end > MAX_CHARS - LONGEST_LETTER and unicodedata.category(text[end]).startswith("M"):
        end -= 1
    return text[:end]

"""Novelty of a question against the others of its image (paper section 3.4: ROUGE-L below 0.7).

In: texts. Out: rouge-score's rougeL F-measure, by a bit-parallel LCS, and the decision in integers.
"""

import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Indel, LCSseq

MOST_CHARACTERS = 4_000_000  # of an image's texts: fewer different tokens than Unicode has characters
MOST_LETTERS = 200_000  # that are kept from one image to the next
MOST_TEXTS = 50_000  # likewise

# every byte that is no part of a token to a space: half the time of a regular expression
_OTHER = bytes(set(range(256)) - set((string.ascii_lowercase + string.digits).encode()))
_SEPARATED = bytes.maketrans(_OTHER, b" " * len(_OTHER))


class Alphabet(dict[bytes, str]):
    """A character for each token, the next one where it is new."""

    def __missing__(self, token: bytes) -> str:
        letter = self[token] = chr(len(self))
        return letter


class Letters(dict[str, str]):
    """A text's tokens, a character each: a string is compared as it is, another sequence hashed, five times slower."""

    def __missing__(self, text: str) -> str:
        letters = self[text] = "".join(map(_alphabet.__getitem__, tokens(text)))
        return letters


class Plain(dict[str, str | None]):
    """A text's letters where they say all of it: it has some, and beyond ASCII equal forms may have other tokens."""

    def __missing__(self, text: str) -> str | None:
        plain = self[text] = (_letters[text] or None) if text.isascii() else None
        return plain


_alphabet = Alphabet()
_letters = Letters()
_plain = Plain()


class Nearest(NamedTuple):
    """The text that is most like a candidate, and whether that is too much: ROUGE-L of 0.7 or more, or equal."""

    text: str
    rouge_l: float
    too_similar: bool


def tokens(text: str) -> list[bytes]:
    """rouge-score's tokens: runs of a-z and 0-9, once it is lower-cased."""
    return text.lower().encode("ascii", "replace").translate(_SEPARATED).split()


@lru_cache(maxsize=65536)
def normal_form(text: str) -> str:
    """Case folded, white space as single spaces: equal forms are the same question in any script."""
    return " ".join(text.casefold().split())


def rouge_l(a: str, b: str) -> float:
    """F-measure in [0, 1] of the longest common subsequence of tokens; 0 where either text has none."""
    _make_room()
    first, second = _letters[a], _letters[b]
    return 2 * LCSseq.similarity(first, second) / (len(first) + len(second)) if first and second else 0.0


def is_novel(candidate: str, existing: Sequence[str]) -> bool:
    """Whether the candidate is below 0.7 against every existing text, and equal to none."""
    found = nearest(candidate, existing)
    return found is None or not found.too_similar


def nearest(candidate: str, existing: Sequence[str]) -> Nearest | None:
    """The existing text that is most like the candidate; the first of equals, None where there is none."""
    _make_room()
    best: Nearest | None = None
    for other in _contenders(candidate, existing):
        common, both = _in_common(candidate, other)
        if best is None or 2 * common / both > best.rouge_l:
            # F >= 0.7 in integers, so that no rounding decides
            best = Nearest(other, 2 * common / both, 20 * common >= 7 * both)
    return best


def _contenders(candidate: str, existing: Sequence[str]) -> list[str]:
    """Texts among which the nearest is: of the plain ones the best, found in one go, and all others."""
    plain = _plain[candidate]
    if plain is None:
        return list(existing)
    others = list(map(_plain.__getitem__, existing))
    places = [at for at, other in enumerate(others) if other is None] if None in others else []
    # 1 - insertions and deletions / (m + n) = 2 LCS / (m + n); None is passed over, of equals the first is given
    if found := process.extractOne(plain, others, scorer=Indel.normalized_similarity):
        places = sorted([*places, found[2]])
    return [existing[at] for at in places]


def _in_common(a: str, b: str) -> tuple[int, int]:
    """The longest common subsequence and the lengths of both together; F is twice the one by the other.

    By tokens, or by characters where either text is in a script that the tokenizer drops.
    """
    first, second = _letters[a], _letters[b]
    if not (_plain[a] and _plain[b]):
        forms = normal_form(a), normal_form(b)
        if forms[0] == forms[1]:
            return 1, 2
        if not (first and second):
            first, second = forms
    return LCSseq.similarity(first, second), len(first) + len(second)


def _make_room() -> None:
    """Before texts are compared, never between: all of them must be written in the same letters."""
    if len(_alphabet) > MOST_LETTERS or len(_letters) > MOST_TEXTS:
        for kept in (_alphabet, _letters, _plain):
            kept.clear()

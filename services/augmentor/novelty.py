"""Novelty of a question against the others of its image (paper section 3.4: ROUGE-L below 0.7).

In: texts. Out: rouge-score's rougeL F-measure, by a bit-parallel LCS, and the decision in integers.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Indel, LCSseq

MOST_CHARACTERS = 4_000_000  # of an image's texts: fewer different tokens than Unicode has characters
MOST_LETTERS = 200_000  # that are kept from one image to the next

TOKEN = re.compile(r"[a-z0-9]+")


class Alphabet(dict[str, str]):
    """A character for each token, the next one where it is new."""

    def __missing__(self, token: str) -> str:
        letter = self[token] = chr(len(self))
        return letter


_alphabet = Alphabet()


class Nearest(NamedTuple):
    """The text that is most like a candidate, and whether that is too much: ROUGE-L of 0.7 or more, or equal."""

    text: str
    rouge_l: float
    too_similar: bool


def tokens(text: str) -> list[str]:
    """rouge-score's tokens: lower-cased runs of a-z and 0-9."""
    return TOKEN.findall(text.lower())


@lru_cache(maxsize=65536)
def normal_form(text: str) -> str:
    """Case folded, white space as single spaces: equal forms are the same question in any script."""
    return " ".join(text.casefold().split())


def rouge_l(a: str, b: str) -> float:
    """F-measure in [0, 1] of the longest common subsequence of tokens; 0 where either text has none."""
    _make_room()
    first, second = _letters(a), _letters(b)
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
    plain = _plain(candidate)
    if plain is None:
        return list(existing)
    others = [_plain(other) for other in existing]
    places = [at for at, other in enumerate(others) if other is None]
    # 1 - insertions and deletions / (m + n) = 2 LCS / (m + n); None is passed over, of equals the first is given
    if found := process.extractOne(plain, others, scorer=Indel.normalized_similarity):
        places = sorted([*places, found[2]])
    return [existing[at] for at in places]


def _in_common(a: str, b: str) -> tuple[int, int]:
    """The longest common subsequence and the lengths of both together; F is twice the one by the other.

    By tokens, or by characters where either text is in a script that the tokenizer drops.
    """
    first, second = _letters(a), _letters(b)
    if not (_plain(a) and _plain(b)):
        forms = normal_form(a), normal_form(b)
        if forms[0] == forms[1]:
            return 1, 2
        if not (first and second):
            first, second = forms
    return LCSseq.similarity(first, second), len(first) + len(second)


@lru_cache(maxsize=65536)
def _plain(text: str) -> str | None:
    """Its letters, where they say all of it: it has some, and beyond ASCII equal forms may have other tokens."""
    return (_letters(text) or None) if text.isascii() else None


@lru_cache(maxsize=4096)
def _letters(text: str) -> str:
    """The tokens, one character each: a string is compared as it is, any other sequence hashed, five times slower."""
    return "".join(map(_alphabet.__getitem__, tokens(text)))


def _make_room() -> None:
    """Before texts are compared, never between: all of them must be written in the same letters."""
    if len(_alphabet) > MOST_LETTERS:
        _alphabet.clear()
        _letters.cache_clear()
        _plain.cache_clear()

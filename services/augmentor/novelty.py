"""Novelty of a question against the others of its image (paper section 3.4: ROUGE-L below 0.7).

In: texts. Out: rouge-score's rougeL F-measure, by a bit-parallel LCS, and the decision in integers.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import LCSseq
from rouge_score.tokenizers import DefaultTokenizer

_tokenizer = DefaultTokenizer(use_stemmer=False)


@lru_cache(maxsize=65536)
def tokens(text: str) -> tuple[str, ...]:
    """rouge-score's own tokens: lower-cased runs of a-z and 0-9."""
    return tuple(_tokenizer.tokenize(text))


@lru_cache(maxsize=65536)
def normal_form(text: str) -> str:
    """Case folded, white space as single spaces: equal forms are the same question in any script."""
    return " ".join(text.casefold().split())


def rouge_l(a: str, b: str) -> float:
    """F-measure in [0, 1] of the longest common subsequence of tokens; 0 where either text has none."""
    return _f_measure(tokens(a), tokens(b))


def is_novel(candidate: str, existing: Sequence[str]) -> bool:
    """Whether the candidate is below 0.7 against every existing text, and equal to none."""
    return all(not _too_similar(candidate, other) for other in existing)


@dataclass(frozen=True)
class Nearest:
    text: str
    rouge_l: float


def nearest(candidate: str, existing: Sequence[str]) -> Nearest | None:
    """The existing text that is most like the candidate; the first of equals, None where there is none."""
    best: Nearest | None = None
    for other in existing:
        score = 1.0 if normal_form(candidate) == normal_form(other) else _f_measure(*_units(candidate, other))
        if best is None or score > best.rouge_l:
            best = Nearest(other, score)
    return best


def _too_similar(a: str, b: str) -> bool:
    if normal_form(a) == normal_form(b):
        return True
    first, second = _units(a, b)
    if 20 * min(len(first), len(second)) < 7 * (len(first) + len(second)):
        return False  # too unlike in length, whatever they have in common
    # F >= 0.7 in integers, so that no rounding decides: F = 2 LCS / (m + n)
    return 20 * int(LCSseq.similarity(first, second)) >= 7 * (len(first) + len(second))


def _units(a: str, b: str) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
    """Tokens, or characters where either text is in a script that the tokenizer drops."""
    if tokens(a) and tokens(b):
        return tokens(a), tokens(b)
    return normal_form(a), normal_form(b)


def _f_measure(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    if not first or not second:
        return 0.0
    common = int(LCSseq.similarity(first, second))
    if common == 0:
        return 0.0
    precision, recall = common / len(first), common / len(second)
    return 2 * precision * recall / (precision + recall)

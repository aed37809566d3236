"""Exact match of a student's answer with a reference, for held-out accuracy. Pure."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def normalise(text: str) -> str:
    """Lower case, punctuation stripped, white space made single."""
    kept = "".join(" " if unicodedata.category(sign)[0] == "P" else sign for sign in text.casefold())
    return " ".join(kept.split())


def is_match(answer: str, reference: str) -> bool:
    return normalise(answer) == normalise(reference)


def accuracy_by_kind(results: Iterable[tuple[str, bool]]) -> tuple[float | None, dict[str, float]]:
    """The mean over kinds, and the accuracy of each kind; None where nothing was asked."""
    of_kind: dict[str, list[bool]] = defaultdict(list)
    for kind, correct in results:
        of_kind[kind].append(correct)
    by_kind = {kind: sum(marks) / len(marks) for kind, marks in sorted(of_kind.items())}
    return (sum(by_kind.values()) / len(by_kind) if by_kind else None), by_kind

"""Exact match of a student's answer with a reference, for held-out accuracy. Pure."""

import unicodedata
from collections.abc import Mapping


def normalise(text: str) -> str:
    """Lower case, punctuation stripped, white space made single."""
    kept = "".join(" " if unicodedata.category(sign)[0] == "P" else sign for sign in text.casefold())
    return " ".join(kept.split())


def is_match(answer: str, reference: str) -> bool:
    return normalise(answer) == normalise(reference)


def accuracy_by_kind(marks: Mapping[str, tuple[int, int]]) -> tuple[float | None, dict[str, float]]:
    """The mean over kinds, and the accuracy of each kind; None where nothing was asked.

    `marks` are a kind's questions and how many of them were answered right.
    """
    by_kind = {kind: correct / num for kind, (num, correct) in sorted(marks.items())}
    return (sum(by_kind.values()) / len(by_kind) if by_kind else None), by_kind

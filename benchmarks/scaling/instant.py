"""What models say that take no time. In: nothing. Out: texts fit for each role, no two questions alike."""

import random

BEGINNINGS, ENDINGS = ("ba", "ko", "ri", "tu", "se"), ("lan", "mor", "pif", "dus", "nek")
WORDS = [f"{first}{second}" for first in BEGINNINGS for second in ENDINGS]
ANSWER = "A red cup stands on the table beside the window, and a cat looks at it. " * 4
LOW_SHARE = (
    0.32  # both orders low: a tenth is difficult; with as many easy ones a fifth of the pool is selected
)

draw = random.Random(0)


def question() -> str:
    """Sixteen words of twenty-five: below the novelty bound of any other in all but rare cases."""
    return " ".join(draw.choices(WORDS, k=16)) + "?"


def scores() -> tuple[int, int]:
    """Of one order. Difficult (0.5) where both orders are low, else easy (0.2 and less)."""
    return (2, 2) if draw.random() < LOW_SHARE else (9, 9)


def judgement() -> str:
    """As the judge writes lines."""
    first, second = scores()
    return f"Both answers say what is there.\nScore 1: {first}\nScore 2: {second}"

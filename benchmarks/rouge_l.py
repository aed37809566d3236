"""The novelty filter beside rouge-score's scorer: pairs a second, and whether they decide alike.

In: `python -m benchmarks.rouge_l --rounds 7 --size 1000000`. Out: a JSON file named by the CPU, and a table. Pairs are
drawn by a seed: an image's questions against each other, many of them near the threshold of 0.7.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rouge_score.rouge_scorer import RougeScorer

from benchmarks.hardware import cpu_name
from benchmarks.training.turns import spread
from services.augmentor import novelty

THRESHOLD = 0.7
SIZES = (
    6,
    24,
)  # questions of an image: at the end of the paper's run, and of a picture that many are asked about
SCORED, OURS = 240, 4800  # candidates in a turn of each
CLOSE = 2  # tokens in common more or less that would change the decision, for a pair to count as close
WORDS = (  # noqa: SIM905
    "what is the color of a in picture image how many people are there standing on left right side near to does "
    "man woman child holding wearing red blue green yellow dog cat bus street table sign behind front does it look "
    "describe main object background why might be doing where which two three and with for his her hand shirt"
).split()
OTHERS = (
    "图片里的人在做什么",
    "写真の中に犬は何匹いますか",
    "Что держит человек слева",
    "Où est l'éléphant",
    "ما لون السيارة",
    "",
)
ENDINGS = ("?", "?", "?", ".", " ?", "?!", "")

Pairs = Iterator[tuple[str, list[str]]]  # a candidate and the texts of its image


class Decisions(NamedTuple):
    """Of pairs of which both have tokens; where one has none, rouge-score sees nothing and ours characters."""

    pairs: int
    too_similar: int
    close: int
    mismatches: int
    without_tokens: int


def images(seed: int, size: int) -> Iterator[list[str]]:
    """For ever: the questions of one image after the other, most of them changed from an earlier one."""
    drawn = Random(seed)
    while True:
        texts = [_fresh(drawn)]
        while len(texts) < size:
            texts.append(_changed(drawn, drawn.choice(texts)) if drawn.random() < 0.7 else _fresh(drawn))
        yield texts


def candidates(seed: int, size: int) -> Pairs:
    """Each question of each image beside the others of its image."""
    for texts in images(seed, size):
        for at, text in enumerate(texts):
            yield text, texts[:at] + texts[at + 1 :]


def _fresh(drawn: Random) -> str:
    if drawn.random() < 0.04:
        return drawn.choice(OTHERS)
    words = drawn.choices(WORDS, k=min(40, max(1, round(drawn.lognormvariate(2.4, 0.4)))))
    return " ".join(words).capitalize() + drawn.choice(ENDINGS)


def _changed(drawn: Random, text: str) -> str:
    """A question much like another: about every fourth word is another, is gone or has a new one behind it."""
    words = text.split()
    for at in reversed(range(len(words))):
        if drawn.random() < 0.25:
            words[at : at + 1] = drawn.choice(([drawn.choice(WORDS)], [], [words[at], drawn.choice(WORDS)]))
    return " ".join(words)


def compare(scorer: RougeScorer, seed: int, num_pairs: int) -> Decisions:
    """Decisions one by one. rouge-score's F is rounded to 12 digits: at 0.7 itself its floats may be too small."""
    counts = dict.fromkeys(Decisions._fields, 0)
    for candidate, others in candidates(seed, SIZES[-1]):
        for other in others:
            if counts["pairs"] + counts["without_tokens"] == num_pairs:
                return Decisions(**counts)
            first, second = novelty.tokens(candidate), novelty.tokens(other)
            if not (first and second):
                counts["without_tokens"] += 1
                continue
            f_measure = scorer.score(other, candidate)["rougeL"].fmeasure
            expected = round(f_measure, 12) >= THRESHOLD
            counts["pairs"] += 1
            counts["too_similar"] += expected
            counts["close"] += abs(f_measure - THRESHOLD) * (len(first) + len(second)) / 2 <= CLOSE
            counts["mismatches"] += novelty.is_novel(candidate, [other]) is expected
    raise AssertionError("images have no end")


def timed(asked: Sequence[tuple[str, list[str]]], decide: Callable[[str, list[str]], object]) -> float:
    """Pairs a CPU second."""
    began = time.process_time()
    for candidate, others in asked:
        decide(candidate, others)
    return sum(len(others) for _, others in asked) / (time.process_time() - began)


def rates(scorer: RougeScorer, size: int, rounds: int) -> dict[str, Any]:
    """Both in turn, on questions that ours has not seen before: they are tokenised in its time."""

    def by_rouge_score(candidate: str, others: list[str]) -> list[bool]:
        return [scorer.score(other, candidate)["rougeL"].fmeasure >= THRESHOLD for other in others]

    theirs, ours = [], []
    for seed in range(rounds + 1):
        asked = list(islice(candidates(1 + seed, size), OURS))
        theirs.append(timed(asked[:SCORED], by_rouge_score))
        ours.append(timed(asked, novelty.nearest))
    ratios = [one / other for one, other in zip(ours[1:], theirs[1:], strict=True)]
    return {"rouge_score": spread(theirs[1:]), "ours": spread(ours[1:]), "ratio": spread(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=1_000_000, help="pairs whose decisions are compared")
    given = parser.parse_args()
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    found = {f"{size} questions": rates(scorer, size, given.rounds) for size in SIZES}
    decisions = compare(scorer, 0, given.size)
    about = {"cpu": cpu_name(), "load": round(os.getloadavg()[0], 2), "rounds": given.rounds}
    report = {**about, "pairs_a_cpu_second": found, "decisions": decisions._asdict()}
    file = Path(__file__).parent / "baselines" / f"rouge_l-{cpu_name()}.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    print("| of an image | rouge-score, pairs/s | ours, pairs/s | ratio |\n|---|---|---|---|")
    for name, row in found.items():
        print(
            f"| {name} | {row['rouge_score']['median']:,.0f} | {row['ours']['median']:,.0f} | {shown(row['ratio'])} |"
        )
    print(decisions)
    if decisions.mismatches:
        raise SystemExit("the filter decides otherwise than rouge-score")


def shown(one: dict[str, float]) -> str:
    return "{median:.0f} ({min:.0f} - {max:.0f})".format(**one)


if __name__ == "__main__":
    main()

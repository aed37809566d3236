"""Noun phrases: ours beside spaCy's plain use, captions a CPU second, and whether both find the same phrases.

In: `OMP_NUM_THREADS=1 python -m benchmarks.caption_extraction --rounds 7`. Out: a JSON file named by the CPU, and a
table. The plain use is `for text in texts: nlp(text)` with the whole pipeline; the steps between are shown beside.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
from spacy.language import Language

from benchmarks.captioning import full_pipeline
from benchmarks.hardware import cpu_name
from benchmarks.training.turns import spread
from services.trainer.captions.phrases import load, needed, noun_phrases
from tests.caption_grammar import sentences

PLAIN_TEXTS = 400  # of a round; the plain use is slow
PLAIN = "`nlp(text)`, whole pipeline"
OURS = "ours"
Finder = Callable[[Sequence[str]], list[list[str]]]


def one_by_one(nlp: Language) -> Finder:
    return lambda texts: [_chunks(nlp(text)) for text in texts]


def in_batches(nlp: Language) -> Finder:
    """spaCy's own batches, as they are set in the pipeline."""
    return lambda texts: [_chunks(doc) for doc in nlp.pipe(texts)]


def _chunks(doc: Any) -> list[str]:
    return list(dict.fromkeys(" ".join(chunk.text.lower().split()) for chunk in doc.noun_chunks))


def finders(pipeline: str) -> dict[str, Finder]:
    whole, lean, ours = spacy.load(pipeline), spacy.load(pipeline), load(pipeline)
    lean.select_pipes(enable=needed(lean))
    return {
        PLAIN: one_by_one(whole),
        "`nlp(text)`, needed components": one_by_one(lean),
        "`nlp.pipe`, whole pipeline": in_batches(whole),
        "`nlp.pipe`, needed components": in_batches(lean),
        OURS: lambda texts: noun_phrases(ours, texts),
    }


def distinct_texts(seed: int, size: int) -> list[str]:
    """Unseen in training, and none twice: what ours saves on repeated captions is not counted."""
    seen = {one.text for one in islice(sentences(0), 3000)}
    drawn = dict.fromkeys(one.text for one in islice(sentences(seed), 2 * size))
    return [text for text in drawn if text not in seen][:size]


def timed(find: Finder, texts: Sequence[str]) -> tuple[float, list[list[str]]]:
    """Captions a CPU second, and what was found."""
    began = time.process_time()
    found = find(texts)
    return len(texts) / (time.process_time() - began), found


def compare(pipeline: str, rounds: int, size: int) -> dict[str, Any]:
    every = finders(pipeline)
    rates: dict[str, list[float]] = {name: [] for name in every}
    differing = compared = 0
    for number in range(rounds + 1):  # the first warms up
        texts = distinct_texts(100 + number, size)
        found = {}
        for name, find in every.items():
            rate, found[name] = timed(find, texts if "nlp(text)" not in name else texts[:PLAIN_TEXTS])
            rates[name].append(rate)
        differing += sum(a != b for a, b in zip(found[PLAIN], found[OURS], strict=False))
        differing += sum(
            a != b for a, b in zip(found["`nlp.pipe`, whole pipeline"], found[OURS], strict=True)
        )
        compared += len(found[PLAIN]) + len(found[OURS])
    ratios = {
        name: spread([one / plain for one, plain in zip(of[1:], rates[PLAIN][1:], strict=True)])
        for name, of in rates.items()
    }
    table = {name: {**spread(of[1:]), "over_plain": ratios[name]} for name, of in rates.items()}
    return {"captions_a_cpu_second": table, "compared": compared, "differing": differing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=4000, help="captions of a round")
    parser.add_argument(
        "--pipeline", help="a spaCy pipeline; without it one of en_core_web_sm's make is trained"
    )
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = compare(given.pipeline or str(full_pipeline(Path(folder))), given.rounds, given.size)
    about = {
        "cpu": cpu_name(),
        "load": round(os.getloadavg()[0], 2),
        **vars(given),
        "spacy": spacy.__version__,
    }
    file = Path(__file__).parent / "baselines" / f"caption_extraction-{cpu_name()}.json"
    file.write_text(json.dumps({**about, **found}, indent=1) + "\n")
    print("| | captions a CPU second | over the plain use |\n|---|---|---|")
    for name, row in found["captions_a_cpu_second"].items():
        ratio = "{median:.1f} ({min:.1f} - {max:.1f})".format(**row["over_plain"])
        print(f"| {name} | {row['median']:,.0f} ({row['min']:,.0f} - {row['max']:,.0f}) | {ratio} |")
    print(f"{found['differing']} of {found['compared']} captions have other phrases")


if __name__ == "__main__":
    main()

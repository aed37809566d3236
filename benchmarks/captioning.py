"""A whole spaCy pipeline of the make of `en_core_web_sm`, trained on the captions' grammar. In: a folder. Out: the
pipeline there. The components, their order, widths, depths and tables are that pipeline's: what they cost is real.
"""

from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import spacy
from spacy.language import Language
from spacy.lookups import Lookups
from spacy.tokens import Span
from spacy.training import Example

from tests.caption_grammar import WORDS, add_part_of_speech_rules, example, sentences

WIDTH = 96
ROWS = {"NORM": 5000, "PREFIX": 1000, "SUFFIX": 2500, "SHAPE": 2500}
SHARED: dict[str, Any] = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH}


def full_pipeline(folder: Path, *, num_sentences: int = 3000, epochs: int = 3) -> Path:
    """Trained to read the grammar, names as entities included."""
    spacy.util.fix_random_seed(0)
    nlp = _untrained()
    examples = [_with_names(example(nlp.vocab, one)) for one in islice(sentences(0), num_sentences)]
    rules = nlp.get_pipe("attribute_ruler").patterns
    optimizer = nlp.initialize(lambda: examples)
    nlp.get_pipe("attribute_ruler").add_patterns(rules)
    nlp.add_pipe("lemmatizer", before="ner", config={"mode": "rule"}).initialize(lookups=_lemmas())
    drawn = Random(0)
    for epoch in range(epochs):
        drawn.shuffle(examples)
        for at in range(0, num_sentences, 24):
            optimizer.learn_rate = 0.001 * max(0.05, 1 - (epoch + at / num_sentences) / epochs)
            nlp.update(examples[at : at + 24], sgd=optimizer)
    nlp.to_disk(folder)
    return folder


def _untrained() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": _layer({**ROWS, "SPACY": 50, "IS_SPACE": 50})})
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": SHARED}})
    nlp.add_pipe("parser", config={"model": _transitions("parser", SHARED)})
    add_part_of_speech_rules(nlp)
    nlp.add_pipe("ner", config={"model": _transitions("ner", _layer(ROWS))})
    return nlp


def _layer(rows: dict[str, int]) -> dict[str, Any]:
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": WIDTH, "include_static_vectors": False}
    embed |= {"attrs": list(rows), "rows": list(rows.values())}
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": WIDTH, "depth": 4}
    encode |= {"window_size": 1, "maxout_pieces": 3}
    return {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}


def _transitions(kind: str, tok2vec: dict[str, Any]) -> dict[str, Any]:
    sizes = {"extra_state_tokens": False, "hidden_width": 64, "maxout_pieces": 2, "use_upper": True}
    return {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": kind,
        "tok2vec": tok2vec,
        **sizes,
    }


def _lemmas() -> Lookups:
    """Rules and words for English nouns, verbs and adjectives, as far as the grammar goes."""
    lookups = Lookups()
    rules = {
        "noun": [["men", "man"], ["ies", "y"], ["s", ""]],
        "verb": [["ies", "y"], ["es", "e"], ["s", ""], ["ing", ""], ["ing", "e"], ["ed", ""], ["ed", "e"]],
        "adj": [["er", ""], ["est", ""]],
    }
    words = {
        "noun": WORDS["noun"],
        "verb": ["hold", "eat", "wear", "watch", "ride"],
        "adj": WORDS["adjective"],
    }
    lookups.add_table("lemma_rules", rules)
    lookups.add_table("lemma_index", words)
    lookups.add_table("lemma_exc", {"noun": {"people": ["person"], "women": ["woman"]}})
    return lookups


def _with_names(one: Example) -> Example:
    """Names are entities."""
    doc = one.reference
    doc.set_ents([Span(doc, token.i, token.i + 1, "NAME") for token in doc if token.text in WORDS["name"]])
    return one

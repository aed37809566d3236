"""A spaCy pipeline for the world's captions, trained in seconds on captions whose parse the grammar knows.

In: a folder and a seed. Out: in the folder what `spacy.load` reads: a tagger, the rules for parts of speech, a parser.
"""

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from comd.world.grammar import caption
from comd.world.scene import COLOURS, SHAPES, random_scene

if TYPE_CHECKING:
    from spacy.language import Language

NUM_CAPTIONS, EPOCHS, BATCH = 300, 6, 20
WIDTH = 32
POS_OF_TAG = {"JJ": "ADJ", "NN": "NOUN", "RB": "ADV", "HYPH": "PUNCT", ",": "PUNCT", ".": "PUNCT"}


class Parse(NamedTuple):
    tags: list[str]
    heads: list[int]
    deps: list[str]


def parse_of(words: list[str]) -> Parse:
    """A caption's true parse: the first thing is its root, the others stand beside it, each with colour and place."""
    things = [at for at, word in enumerate(words) if word in SHAPES]
    tags, heads, deps = list[str](), list[int](), list[str]()
    for at, word in enumerate(words):
        own = next((thing for thing in things if thing >= at), things[-1])  # of a colour; a thing is its own
        before = max((thing for thing in things if thing <= at), default=things[0])
        if word.lower() in COLOURS:
            tag, head, dep = "JJ", own, "amod"
        elif word in SHAPES:
            tag, head, dep = "NN", things[0], "ROOT" if at == things[0] else "appos"
        elif word in {"-", ",", "."}:
            tag, head, dep = "HYPH" if word == "-" else word, before, "punct"
        else:
            tag, head, dep = "RB", before, "advmod"
        tags.append(tag)
        heads.append(head)
        deps.append(dep)
    return Parse(tags, heads, deps)


def save_pipeline(folder: Path, seed: int = 0) -> None:
    """Train the pipeline into `folder`; the same seed gives the same weights."""
    from spacy.tokens import Doc
    from spacy.training import Example
    from thinc.api import fix_random_seed

    fix_random_seed(seed)
    drawn, nlp = Random(f"pipeline|{seed}"), _untrained()
    examples = []
    for _ in range(NUM_CAPTIONS):
        doc = nlp.make_doc(caption(random_scene(drawn)))
        words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
        tags, heads, deps = parse_of(words)
        examples.append(Example(doc, Doc(nlp.vocab, words, spaces, tags=tags, heads=heads, deps=deps)))
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(EPOCHS):
        drawn.shuffle(examples)
        for at in range(0, NUM_CAPTIONS, BATCH):
            nlp.update(examples[at : at + BATCH], sgd=optimizer)
    _add_part_of_speech_rules(nlp)
    nlp.to_disk(folder)


def _untrained() -> "Language":
    import spacy

    nlp = spacy.blank("en")
    tok2vec: dict[str, Any] = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": WIDTH,
    }
    tok2vec |= {
        "depth": 2,
        "embed_size": 200,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": False,
    }
    shared = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH}
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": shared}})
    parser: dict[str, Any] = {"@architectures": "spacy.TransitionBasedParser.v2", "tok2vec": shared}
    parser |= {"state_type": "parser", "extra_state_tokens": False, "hidden_width": WIDTH, "maxout_pieces": 1}
    nlp.add_pipe("parser", config={"model": {**parser, "use_upper": True}})
    return nlp


def _add_part_of_speech_rules(nlp: "Language") -> None:
    """As in spaCy's own English pipelines: the part of speech follows from the tag."""
    ruler: Any = nlp.add_pipe("attribute_ruler")
    for tag, pos in POS_OF_TAG.items():
        ruler.add([[{"TAG": tag}]], {"POS": pos})

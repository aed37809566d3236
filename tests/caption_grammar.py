"""Captions from a grammar that knows their parse, and a small genuine spaCy pipeline trained on them.

In: a seed. Out: sentences with words, tags, heads, labels and noun phrases; a folder that `spacy.load` reads.
The phrases come from the grammar's own rules, not from spaCy's: a test may hold one against the other.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

WORDS = {
    kind: words.split()
    for kind, words in {
        "noun": "dog cat man woman child girl boy horse bird bus car truck train bicycle street sign table kitchen "
        "chair sofa lamp window door house garden park beach mountain river lake sky cloud tree flower plate pizza "
        "cake sandwich cup bottle knife phone laptop camera ball kite umbrella hat shirt dress jacket bag bench "
        "bridge boat tower church market field snow photo painting picture view group couple crowd player surfer "
        "skier piece slice row top side front",
        "plural": "dogs cats men women children horses birds cars trucks bicycles signs tables chairs windows houses "
        "mountains clouds trees flowers plates cups bottles phones balls kites hats people players boats",
        "name": "London Paris Anna Peter Tokyo Berlin Maria Jack Venice Disney",
        "pronoun": "it he she they someone something",
        "adjective": "red blue green white black large small old young wooden happy beautiful colorful empty sunny "
        "tall modern bright little open",
        "determiner": "a the the a this another each some",
        "number": "two three four several 5 12",
        "preposition": "on in near with of behind under at beside by for from",
        "doing": "riding holding eating wearing watching carrying throwing catching cutting using",
        "being": "sitting standing walking running playing sleeping jumping waiting",
        "does": "holds eats wears watches carries throws catches rides cuts",
        "done": "placed parked seen covered surrounded decorated painted served",
    }.items()
}
POS_OF_TAG = {
    "NN": "NOUN",
    "NNS": "NOUN",
    "NNP": "PROPN",
    "PRP": "PRON",
    "NNX": "PRON",
    "PRP$": "PRON",
    "WP": "PRON",
    "JJ": "ADJ",
    "DT": "DET",
    "CD": "NUM",
    "IN": "ADP",
    "VBG": "VERB",
    "VBZ": "VERB",
    "VBN": "VERB",
    "AUX": "AUX",
    "CC": "CCONJ",
    "EX": "PRON",
    "RB": "ADV",
    "POS": "PART",
    ".": "PUNCT",
    ",": "PUNCT",
}  # fmt: skip


@dataclass(eq=False)
class Node:
    """A word with its dependents in order; `is_phrase` where it heads a noun phrase: itself and all on its left."""

    word: str
    tag: str
    dep: str = "ROOT"
    left: list["Node"] = field(default_factory=list)
    right: list["Node"] = field(default_factory=list)
    is_phrase: bool = False

    def in_order(self) -> Iterator["Node"]:
        for child in self.left:
            yield from child.in_order()
        yield self
        for child in self.right:
            yield from child.in_order()

    def on(self, dep: str) -> "Node":
        self.dep = dep
        return self


class Sentence(NamedTuple):
    words: list[str]
    spaces: list[bool]
    tags: list[str]
    heads: list[int]
    deps: list[str]
    phrases: list[str]  # as written, in order

    @property
    def text(self) -> str:
        return "".join(word + " " * space for word, space in zip(self.words, self.spaces, strict=True))


def sentences(seed: int) -> Iterator[Sentence]:
    """For ever, the same for the same seed."""
    drawn = Random(seed)
    while True:
        yield _written(drawn.choice(FORMS)(drawn), capital=drawn.random() < 0.5)


def _written(root: Node, *, capital: bool) -> Sentence:
    nodes = list(root.in_order())
    words = [node.word for node in nodes]
    if capital:
        words[0] = words[0][0].upper() + words[0][1:]
    spaces = [node.tag not in ("POS", ".", ",") for node in nodes[1:]] + [False]
    place = {id(node): at for at, node in enumerate(nodes)}
    head_of = {id(child): place[id(node)] for node in nodes for child in (*node.left, *node.right)}
    heads = [head_of.get(id(node), place[id(node)]) for node in nodes]
    phrases = []
    for at, node in enumerate(nodes):
        if node.is_phrase:
            start = at - sum(len(list(child.in_order())) for child in node.left)
            phrase = "".join(f"{words[i]}{' ' * spaces[i]}" for i in range(start, at + 1))
            phrases.append(phrase.rstrip())
    return Sentence(words, spaces, [n.tag for n in nodes], heads, [n.dep for n in nodes], phrases)


def _noun_phrase(drawn: Random, dep: str, depth: int = 0) -> Node:
    """A name, a pronoun, or a noun with what stands before it; at times with a phrase or another noun behind."""
    kind = drawn.random()
    if kind < 0.06:
        return Node(drawn.choice(WORDS["pronoun"]), "PRP", dep, is_phrase=True)
    if kind < 0.14:
        given = [Node(drawn.choice(WORDS["name"]), "NNP", "compound")] if drawn.random() < 0.3 else []
        return Node(drawn.choice(WORDS["name"]), "NNP", dep, given, is_phrase=True)
    head = _noun(drawn, dep)
    follows = drawn.random()
    if depth < 2 and follows < 0.3:
        head.right.append(_prepositional(drawn, depth + 1))
    elif depth < 2 and follows < 0.42:
        head.right += [Node("and", "CC", "cc"), _noun_phrase(drawn, "conj", 2)]
    return head


def _noun(drawn: Random, dep: str) -> Node:
    plural = drawn.random() < 0.25
    head = Node(
        drawn.choice(WORDS["plural" if plural else "noun"]), "NNS" if plural else "NN", dep, is_phrase=True
    )
    if plural and drawn.random() < 0.5:
        head.left.append(Node(drawn.choice(WORDS["number"]), "CD", "nummod"))
    elif not plural and drawn.random() < 0.12:
        owner = Node(
            drawn.choice(WORDS["noun"]), "NN", "poss", [Node("the", "DT", "det")], [Node("'s", "POS", "case")]
        )
        head.left.append(owner)
    elif not plural:
        head.left.append(Node(drawn.choice(WORDS["determiner"]), "DT", "det"))
    while drawn.random() < 0.3 and len(head.left) < 4:
        head.left.append(Node(drawn.choice(WORDS["adjective"]), "JJ", "amod"))
    if drawn.random() < 0.15:
        head.left.append(Node(drawn.choice(WORDS["noun"]), "NN", "compound"))
    return head


def _prepositional(drawn: Random, depth: int = 1) -> Node:
    return Node(drawn.choice(WORDS["preposition"]), "IN", "prep", right=[_noun_phrase(drawn, "pobj", depth)])


def _stop(drawn: Random) -> list[Node]:
    return [Node(".", ".", "punct")] if drawn.random() < 0.5 else []


def _title(drawn: Random) -> Node:
    """a red bus in front of the church"""
    head = _noun(drawn, "ROOT")
    head.right += [_prepositional(drawn), *_stop(drawn)]
    return head


def _scene(drawn: Random) -> Node:
    """two men riding horses on the beach"""
    head = _noun(drawn, "ROOT")
    verb = Node(drawn.choice(WORDS["doing"]), "VBG", "acl", right=[_noun_phrase(drawn, "dobj", 1)])
    if drawn.random() < 0.4:
        verb = Node(drawn.choice(WORDS["being"]), "VBG", "acl", right=[_prepositional(drawn)])
    head.right += [verb, *_stop(drawn)]
    return head


def _action(drawn: Random) -> Node:
    """the old woman carries a bag in the park."""
    right = [_noun_phrase(drawn, "dobj", 1), *_stop(drawn)]
    return Node(drawn.choice(WORDS["does"]), "VBZ", "ROOT", [_noun_phrase(drawn, "nsubj", 1)], right)


def _state(drawn: Random) -> Node:
    """a cat is sleeping under the table. / a cake is served on a plate."""
    passive = drawn.random() < 0.4
    subject = _noun_phrase(drawn, "nsubjpass" if passive else "nsubj", 1)
    aux = Node("is", "AUX", "auxpass" if passive else "aux")
    word, tag = (drawn.choice(WORDS["done"]), "VBN") if passive else (drawn.choice(WORDS["being"]), "VBG")
    return Node(word, tag, "ROOT", [subject, aux], [_prepositional(drawn), *_stop(drawn)])


def _statement(drawn: Random) -> Node:
    """there is a tower near the river / this is a view of Paris"""
    there = drawn.random() < 0.5
    # spaCy takes an existential "there" (expl) for no phrase, a demonstrative subject for one
    subject = Node("there", "EX", "expl") if there else Node("this", "PRP", "nsubj", is_phrase=True)
    return Node("is", "AUX", "ROOT", [subject], [_noun_phrase(drawn, "attr"), *_stop(drawn)])


FORMS: Sequence[Callable[[Random], Node]] = (_title, _scene, _action, _state, _statement)

TRAINED_ON = 3000  # sentences
WIDTH = 48
SHARED: dict[str, Any] = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH}


def untrained() -> Language:
    """The components of spaCy's trained English pipelines that phrases need, at a fraction of their size."""
    nlp = spacy.blank("en")
    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": WIDTH,
        "depth": 2,
    }
    tok2vec |= {"embed_size": 600, "window_size": 1, "maxout_pieces": 2, "subword_features": False}
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": SHARED}})
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", "tok2vec": SHARED, "state_type": "parser"}
    parser |= {"extra_state_tokens": False, "hidden_width": 48, "maxout_pieces": 1, "use_upper": True}
    nlp.add_pipe("parser", config={"model": parser})
    add_part_of_speech_rules(nlp)
    return nlp


def add_part_of_speech_rules(nlp: Language) -> None:
    """As in spaCy's own English pipelines: the part of speech follows from the tag, by rules."""
    ruler = nlp.add_pipe("attribute_ruler")
    for tag, pos in POS_OF_TAG.items():
        ruler.add([[{"TAG": tag}]], {"POS": pos})  # type: ignore[attr-defined]


def example(vocab: Vocab, sentence: Sentence) -> Example:
    words, spaces = sentence.words, sentence.spaces
    reference = Doc(vocab, words, spaces, tags=sentence.tags, heads=sentence.heads, deps=sentence.deps)
    return Example(Doc(vocab, words, spaces), reference)


def train(
    nlp: Language, *, num_sentences: int = TRAINED_ON, epochs: int = 3, batch: int = 24, seed: int = 0
) -> None:
    """Teach `nlp` the grammar; tags, heads and labels only."""
    spacy.util.fix_random_seed(seed)
    source = sentences(seed)
    examples = [example(nlp.vocab, next(source)) for _ in range(num_sentences)]
    rules = nlp.get_pipe("attribute_ruler").patterns  # type: ignore[attr-defined]
    optimizer = nlp.initialize(lambda: examples)
    nlp.get_pipe("attribute_ruler").add_patterns(rules)  # type: ignore[attr-defined]
    drawn = Random(seed)
    for epoch in range(epochs):
        drawn.shuffle(examples)
        for at in range(0, len(examples), batch):
            optimizer.learn_rate = 0.001 * max(0.05, 1 - (epoch + at / len(examples)) / epochs)
            nlp.update(examples[at : at + batch], sgd=optimizer)


def pipeline_folder() -> Path:
    """The small pipeline; trained when first asked for, and kept among temporary files for the next session."""
    made_of = Path(__file__).read_bytes() + version("spacy").encode()
    folder = Path(tempfile.gettempdir()) / f"comd-captions-{hashlib.sha256(made_of).hexdigest()[:16]}"
    if not folder.exists():
        nlp = untrained()
        train(nlp)
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
        nlp.to_disk(draft)
        with contextlib.suppress(OSError):  # another process was quicker
            draft.rename(folder)
    return folder

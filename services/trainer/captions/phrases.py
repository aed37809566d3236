"""Noun phrases by spaCy. In: a pipeline's name or folder, and texts. Out: each text's distinct noun phrases,
lower-cased, with single spaces, in the order in which they first appear.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigError
from shared.types import JsonObject

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

WANTED = frozenset(
    {"token.dep", "token.head", "token.pos", "token.tag", "token.morph"}
)  # what noun chunks read
BATCH_CAPTIONS = 256


@lru_cache(maxsize=1)
def load(pipeline: str) -> "Language":
    """The pipeline, with only those components at work that noun phrases need."""
    try:
        import spacy
    except ImportError as error:
        raise ConfigError(
            "choosing captions needs spaCy; install it by pip install 'comd[captions]'"
        ) from error
    try:
        with _products_by_numpy():
            nlp = spacy.load(pipeline)
    except OSError as error:
        raise ConfigError(_how_to_get(pipeline, str(error))) from error
    if nlp.vocab.get_noun_chunks is None:
        raise ConfigError(
            f"spaCy has no noun phrases for the language {nlp.lang!r} of the pipeline {pipeline!r}"
        )
    if "token.dep" not in {made for name in nlp.pipe_names for made in nlp.get_pipe_meta(name).assigns}:
        raise ConfigError(
            f"the spaCy pipeline {pipeline!r} has no parser, which noun phrases need; it has "
            f"{', '.join(nlp.pipe_names) or 'no component'}; take one with a parser, such as en_core_web_sm"
        )
    nlp.select_pipes(enable=needed(nlp))
    return nlp


@contextmanager
def _products_by_numpy() -> Iterator[None]:
    """Pipelines loaded meanwhile multiply matrices by NumPy's BLAS, three times as fast as spaCy's own on a CPU."""
    from thinc.api import NumpyOps, get_current_ops, set_current_ops

    before = get_current_ops()
    if type(before).__name__ == "NumpyOps":
        set_current_ops(NumpyOps(use_blis=False))
    try:
        yield
    finally:
        set_current_ops(before)


def _how_to_get(pipeline: str, said: str) -> str:
    return (
        f"the spaCy pipeline {pipeline!r} is not installed, nor a folder with one ({said.splitlines()[0]}); get it "
        f"by `python -m spacy download {Path(pipeline).name}`, or without a network install its wheel, from "
        "https://github.com/explosion/spacy-models/releases, by pip, or give the path of its folder"
    )


def needed(nlp: "Language") -> list[str]:
    """The components that have a part in noun phrases, by what each of them declares to read and to write.

    One that declares nothing (the rules that make parts of speech from tags; a user's own) stays, and so does one
    that joins or splits tokens. From the back, because a component can only use what those before it have made.
    """
    wanted = set(WANTED)
    kept: list[str] = []
    for name in reversed(nlp.pipe_names):
        about = nlp.get_pipe_meta(name)
        heard = set(getattr(nlp.get_pipe(name), "listening_components", ())) & set(kept)
        if heard or about.retokenizes or not about.assigns or wanted & set(about.assigns):
            kept.append(name)
            wanted.update(about.requires)
        if "token.dep" in about.assigns:
            wanted.add("token.is_sent_start")  # a parser keeps to sentences that are marked before it
    return kept[::-1]


def identity(pipeline: str) -> JsonObject:
    """What must be equal for equal phrases: versions, components, and the content of all of the pipeline's files."""
    nlp = load(pipeline)
    content = hashlib.sha256()
    for file in sorted(path for path in (nlp.path or Path()).rglob("*") if path.is_file()):
        content.update(file.relative_to(nlp.path).as_posix().encode() + b"\n" + _digest(file))
    name = f"{nlp.meta['lang']}_{nlp.meta['name']}"
    about = {"pipeline": name, "version": nlp.meta["version"], "components": nlp.pipe_names}
    return {**about, "spacy": version("spacy"), "sha256": content.hexdigest()}


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def noun_phrases(nlp: "Language", texts: Sequence[str]) -> list[list[str]]:
    """Of each text its phrases; a text that stands more than once is read once."""
    distinct = dict.fromkeys(texts)
    read = zip(distinct, nlp.pipe(distinct, batch_size=BATCH_CAPTIONS), strict=True)
    found = {text: _phrases(text, doc) for text, doc in read}
    return [found[text] for text in texts]


def _phrases(text: str, doc: "Doc") -> list[str]:
    written = (text[chunk.start_char : chunk.end_char] for chunk in doc.noun_chunks)
    spoken = (" ".join(phrase.lower().split()) for phrase in written)
    return list(dict.fromkeys(phrase for phrase in spoken if phrase))

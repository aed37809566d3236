"""Noun phrases by a genuine spaCy pipeline, against the grammar that its sentences come from."""

from itertools import islice
from pathlib import Path

import pytest
import spacy
from spacy.language import Language

from services.trainer.captions.phrases import identity, load, needed, noun_phrases
from shared.errors import ConfigError
from tests.caption_grammar import POS_OF_TAG, TRAINED_ON, example, pipeline_folder, sentences

# spaCy's own English pipelines have these, in this order
FULL = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer", "ner"]


@pytest.fixture(scope="module")
def pipeline() -> str:
    return str(pipeline_folder())


@pytest.fixture
def nlp(pipeline: str) -> Language:
    return load(pipeline)


def test_the_grammar_and_spacys_rule_agree_on_what_a_noun_phrase_is() -> None:
    vocab = spacy.blank("en").vocab
    for sentence in islice(sentences(7), 300):
        doc = example(vocab, sentence).reference
        for token, tag in zip(doc, sentence.tags, strict=True):
            token.pos_ = POS_OF_TAG[tag]
        assert [chunk.text for chunk in doc.noun_chunks] == sentence.phrases


def test_phrases_of_unseen_sentences_are_the_grammars(nlp: Language) -> None:
    seen = {sentence.text for sentence in islice(sentences(0), TRAINED_ON)}
    unseen = [sentence for sentence in islice(sentences(99), 1000) if sentence.text not in seen]
    found = noun_phrases(nlp, [sentence.text for sentence in unseen])
    expected = [list(dict.fromkeys(map(str.lower, sentence.phrases))) for sentence in unseen]
    right = sum(one == other for one, other in zip(found, expected, strict=True))
    assert len(unseen) > 900
    assert right / len(unseen) > 0.97


def test_phrases_are_distinct_lower_cased_and_in_single_spaces(nlp: Language) -> None:
    text = "A red  bus near\nParis and a  Red\tbus"
    chunks = [chunk.text for chunk in nlp(text).noun_chunks]
    assert "A red  bus" in chunks
    [found] = noun_phrases(nlp, [text])
    assert "a red bus" in found
    assert "paris" in found
    assert len(found) == len(set(found)) < len(chunks)


def test_texts_that_stand_twice_and_none(nlp: Language) -> None:
    assert noun_phrases(nlp, ["a cat", "a dog", "a cat"]) == [["a cat"], ["a dog"], ["a cat"]]
    assert noun_phrases(nlp, []) == []
    assert noun_phrases(nlp, [""]) == [[]]


def test_only_what_noun_phrases_need_is_at_work() -> None:
    nlp = spacy.blank("en")
    for name in FULL:
        nlp.add_pipe(name)
    assert needed(nlp) == ["tagger", "parser", "attribute_ruler"]  # nothing listens to the shared layer here
    nlp.add_pipe("sentencizer", first=True)  # a parser keeps to its sentences
    nlp.add_pipe("senter", last=True)
    assert needed(nlp) == ["sentencizer", "tagger", "parser", "attribute_ruler"]
    nlp.add_pipe("merge_entities", last=True)  # joins tokens, and for that wants entities
    assert needed(nlp) == ["sentencizer", "tagger", "parser", "attribute_ruler", "ner", "merge_entities"]


def test_a_layer_that_others_share_stays(nlp: Language) -> None:
    assert nlp.pipe_names == ["tok2vec", "tagger", "parser", "attribute_ruler"]


def test_a_pipeline_that_is_missing_or_has_no_parser_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"not installed.*python -m spacy download en_core_web_xx.*wheel.*folder"
    ):
        load("en_core_web_xx")
    with pytest.raises(ConfigError, match="folder"):
        load(str(tmp_path))
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "flat")
    with pytest.raises(ConfigError, match=r"has no parser.* it has sentencizer; take one"):
        load(str(tmp_path / "flat"))
    spacy.blank("cs").to_disk(tmp_path / "cs")
    with pytest.raises(ConfigError, match="no noun phrases for the language 'cs'"):
        load(str(tmp_path / "cs"))


def test_the_identity_tells_pipelines_apart_by_their_content(pipeline: str, tmp_path: Path) -> None:
    nlp = spacy.load(pipeline)
    nlp.to_disk(tmp_path / "same")
    output = nlp.get_pipe("tagger").model.get_ref("softmax")  # type: ignore[attr-defined]
    output.set_param("b", 2 * output.get_param("b"))
    nlp.to_disk(tmp_path / "other")
    assert identity(pipeline) == identity(str(tmp_path / "same"))
    other = identity(str(tmp_path / "other"))
    assert {name for name in other if other[name] != identity(pipeline)[name]} == {"sha256"}

"""The strict reader of an augmentor's reply: one question on one line, in either form; all else is asked again."""

import json

import pytest

from services.augmentor.prompts import LONGEST_QUESTION
from services.augmentor.reply import read_question
from shared.reply_form import UnreadableReply


@pytest.mark.parametrize(
    ("said", "question"),
    [
        (' "What is it?"\n', "What is it?"),
        ("“What is it?”", "What is it?"),
        ("What's up?", "What's up?"),
        ("Here is a cup; what is in it?", "Here is a cup; what is in it?"),
        ("Which question does the sign ask?", "Which question does the sign ask?"),
        ("2 cups are shown; which is red?", "2 cups are shown; which is red?"),
        ("Okapis are shown: how many?", "Okapis are shown: how many?"),
        ("图片里有什么动物?", "图片里有什么动物?"),
        ("", ""),
    ],
)
def test_readable_in_both_forms(said: str, question: str) -> None:
    assert read_question(said, "stop", "lines") == question
    assert read_question(json.dumps({"question": said}), "stop", "json") == question


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("What is it?\nWhere is it?", "several lines"),
        ("What is it?\u2028Where is it?", "several lines"),
        ("Sure! Here is a new question:\nWhat is it?", "several lines"),
        ("Sure! What is on the desk?", "other words"),
        ("Certainly, here you go: what is on the desk?", "other words"),
        ("Here's a new question about the image: What is it?", "other words"),
        ("Question: What is it?", "other words"),
        ("My new question is: What is it?", "other words"),
        ("1. What is on the desk?", "a list"),
        ("- What is on the desk?", "a list"),
        ("(2) What is on the desk?", "a list"),
    ],
)
def test_unreadable_in_both_forms(said: str, reason: str) -> None:
    with pytest.raises(UnreadableReply, match=reason):
        read_question(said, "stop", "lines")
    with pytest.raises(UnreadableReply, match=reason):
        read_question(json.dumps({"question": said}), "stop", "json")


@pytest.mark.parametrize(
    "reply",
    ["What is it?", "{}", '{"question": 7}', '{"question": "a", "answer": "b"}', '["a"]', '{"question": "a'],
)
def test_unreadable_json(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        read_question(reply, "stop", "json")


def test_what_the_schema_closed_is_not_read() -> None:
    """A model held to the schema can do nothing but close the text there, in the middle of a word."""
    longest = "w" * (LONGEST_QUESTION - 1)
    assert read_question(json.dumps({"question": longest}), "stop", "json") == longest
    with pytest.raises(UnreadableReply, match="cut off at the schema's limit"):
        read_question(json.dumps({"question": longest + "w"}), "stop", "json")


@pytest.mark.parametrize("form", ["json", "lines"])
def test_what_was_cut_off_is_not_read(form: str) -> None:
    with pytest.raises(UnreadableReply, match="cut off at the length limit"):
        read_question('{"question": "What is the large"}', "length", form)  # type: ignore[arg-type]

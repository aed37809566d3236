"""Reads an augmentor's reply: one question on one line, or UnreadableReply with the reason.

Strict in both forms: a list or a chat around the question is asked again, not guessed at.
"""

import re

from services.augmentor.prompts import LONGEST_QUESTION
from shared.errors import told
from shared.reply_form import ReplyForm, UnreadableReply, json_object, require_ended

QUOTES = {('"', '"'), ("“", "”"), ("'", "'"), ("«", "»"), ("「", "」")}
LIST_ITEM = re.compile(r"(?:[-*•]|\(?\d{1,3}[.):])\s")
CHAT = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^?]{0,40}[!,.:]"
    r"|here(?:'s|’s| is| are)\b[^?]{0,80}:"
    r"|(?:my |the |a )?(?:new |your )?question(?: is)?\s*:",
    re.IGNORECASE,
)


def read_question(reply: str, finish_reason: str, form: ReplyForm) -> str:
    """The question in a reply of the form that was asked for."""
    require_ended(finish_reason)
    text = unquoted(_from_json(reply) if form == "json" else reply)
    if len(text.splitlines()) > 1:
        raise UnreadableReply("several lines, expected the question alone on one line")
    if LIST_ITEM.match(text):
        raise UnreadableReply("a list, expected one question")
    if found := CHAT.match(text):
        raise UnreadableReply(f"other words before the question: {told(found[0])}")
    return text


def unquoted(text: str) -> str:
    """White space trimmed, and one pair of quotation marks around the whole removed."""
    text = text.strip()
    if len(text) > 1 and (text[0], text[-1]) in QUOTES:
        text = text[1:-1].strip()
    return text


def _from_json(reply: str) -> str:
    question = json_object(reply, ["question"])["question"]
    if not isinstance(question, str):
        raise UnreadableReply(f"expected a question in words, got {told(question)}")
    if len(question) >= LONGEST_QUESTION:  # the schema closed it, wherever it stood
        raise UnreadableReply(f"cut off at the schema's limit of {LONGEST_QUESTION} characters")
    return question

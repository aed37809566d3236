"""Reads which choice an answer names. In: the model's answer, the choices' texts. Out: an index, or None where no
single choice is named. Nothing is ever guessed. Pure.
"""

import re
import unicodedata
from collections.abc import Sequence

from services.coordinator.benchmarks.items import LETTERS

MARKUP = re.compile(r"\\(?:boxed|text|mathrm)|[*_`$]+")
BRACKETS = re.compile(r"(?<!\w)[{(\[]{1,3}([A-Za-z])[})\]]{1,3}")
STATEMENTS = 10  # from the end; more are babble
ALONE = re.compile(r"\(?([A-Za-z])\)?[.:,!]?")
# after one of these the answer is named; of several the last that names something, as reasoning comes before
STATEMENT = re.compile(
    r"""\b(?: (?: (?<!wrong\ )(?<!incorrect\ )answer | (?:correct|right|best|my)\s+(?:choice|option|letter) )
    \s+ (?:is|would\ be|should\ be|must\ be)\b | answer\s*[:=] )\s*:?""",
    re.X | re.I,
)
# a bare A before a word is an article, save where that word cannot follow an article
NAMED = re.compile(
    r"""(?:the\s+)?(?:option|choice|letter)?\s*["']?
    (?: \(([A-Za-z])\) | ([A-Za-z])(?=["'.,:;!)]|$) | ([B-Z])(?=\s) | (A)(?=\s+(?:because|since|as|is)\b) )""",
    re.X,
)
DENIED = re.compile(r"(?:not|neither|either|none)\b")
CLAUSE_END = re.compile(r"[.;,]\s")
ANOTHER = re.compile(
    r"""["').]*\s*(?:,|/|&|or\b|and\b)\s*(?:or\s+|and\s+)?\(?(?:([B-Z])\b|(A)\b(?!\s+[a-z]))"""
)
# letters that stand as a choice's mark anywhere: (B), "B. ..." or "B" at a line's start, option B
MARKS = re.compile(
    r"""(?<!\w)\(([A-Za-z])\) | ^[ ]*([A-Za-z])(?:[.):](?!\w)|[ ]*$) | ^[ ]*([A-Z])(?=[ ](?:because|since|is)\b)
    | \b(?:[Oo]ption|[Cc]hoice)\s([A-Z])\b""",
    re.X | re.M,
)


def chosen(answer: str, choices: Sequence[str]) -> int | None:
    """The index of the choice that the answer names, by its letter or by its whole text."""
    text = _plain(answer)
    for whole in (answer, text):
        if (index := _whole(whole, choices)) is not None:
            return index
    for statement in reversed(list(STATEMENT.finditer(text))[-STATEMENTS:]):
        line = text[statement.end() :].strip().split("\n", 1)[0].strip()
        if (index := _whole(line, choices)) is not None:
            return index
        if DENIED.match(line):
            return None
        if named := NAMED.match(line):
            return _single(line, named, choices)
        if (index := _whole(CLAUSE_END.split(line, maxsplit=1)[0], choices)) is not None:
            return index
    letters = {_letter(found) for found in MARKS.finditer(text)}
    return _index(letters.pop(), choices) if len(letters) == 1 else None


def _whole(text: str, choices: Sequence[str]) -> int | None:
    """A letter and nothing else, or one choice's text and nothing else; some choices differ in their case alone."""
    alone = ALONE.fullmatch(text.strip())
    if alone and (index := _index(_letter(alone), choices)) is not None:
        return index
    for form in (str.strip, _normal):
        same = [index for index, choice in enumerate(choices) if form(choice) == form(text)]
        if form(text) and len(same) == 1:
            return same[0]
    return None


def _single(line: str, named: re.Match[str], choices: Sequence[str]) -> int | None:
    """The letter that the line begins with, where the line does not go on to name another beside it."""
    another = ANOTHER.match(line, named.end())
    return None if another and _letter(another) != _letter(named) else _index(_letter(named), choices)


def _letter(found: re.Match[str]) -> str:
    return found[found.lastindex or 0].upper()


def _index(letter: str, choices: Sequence[str]) -> int | None:
    index = LETTERS.index(letter)
    return index if index < len(choices) else None


def _plain(text: str) -> str:
    """Without emphasis and formulas' dress, a letter in brackets of any kind as (B)."""
    return BRACKETS.sub(r"(\1)", MARKUP.sub("", unicodedata.normalize("NFKC", text))).strip()


def _normal(text: str) -> str:
    return " ".join(_plain(text).casefold().split()).strip(" \"'.")

"""Texts of models and data as labels and cells: fit for one line of a figure, and harmless where they are opened."""

import re

from shared.plain_text import UNSEEN

LABEL = 32
LONGEST = 1_500
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would reckon a cell that begins so
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def label(text: str, longest: int = LABEL) -> str:
    """One short line of what an eye sees."""
    line = " ".join(UNSEEN.sub("", text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def shortened(text: str) -> str:
    """A long text's beginning, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"


def cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula; numbers as they are."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" \n").startswith(FORMULA) else value


def latex(text: str) -> str:
    """The text for LaTeX, on one line, with nothing in it that is a command."""
    return re.sub(r"[\\~^&%$#_{}]", lambda found: LATEX[found[0]], " ".join(UNSEEN.sub("", text).split()))

"""Texts of models and data in files that other programs open: harmless in a spreadsheet and in LaTeX."""

import re

from shared.plain_text import UNSEEN

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would reckon a cell that begins so
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def one_line(text: str) -> str:
    """What an eye sees of the text, on one line."""
    return " ".join(UNSEEN.sub("", text).split())


def csv_cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula; numbers as they are."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" \n").startswith(FORMULA) else value


def latex(text: str) -> str:
    """The text for LaTeX, on one line, with nothing in it that is a command."""
    return re.sub(r"[\\~^&%$#_{}]", lambda found: LATEX[found[0]], one_line(text))

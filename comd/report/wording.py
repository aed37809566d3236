"""Texts of models and data as labels: fit for one line of a figure, and never longer than a page takes."""

from shared.document_text import one_line

LABEL = 32
LONGEST = 1_500


def label(text: str, longest: int = LABEL) -> str:
    """One short line of what an eye sees."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def shortened(text: str) -> str:
    """A long text's beginning, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"

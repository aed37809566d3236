"""Text that a model or a person wrote, made fit for a terminal. In: any text. Out: one line that does nothing to it."""

from shared.plain_text import UNSEEN


def printable(text: str) -> str:
    """One line; what no eye sees, terminal codes among it, is spelled out."""
    flat = text.replace("\r", "").replace("\n", " ")
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], flat)

"""Curves in one line of text. Pure. In: numbers, oldest first. Out: a block character for each."""

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=*#"  # where the terminal cannot print blocks
GAP = " "


def sparkline(
    values: Sequence[float | None],
    width: int,
    low: float | None = None,
    high: float | None = None,
    blocks: str = BLOCKS,
) -> str:
    """At most `width` characters, from `low` to `high` (default: the least and the greatest); None is a gap.

    More values than characters are averaged, so that all of a curve is seen.
    """
    shown = _thinned(values, width)
    known = [value for value in shown if value is not None]
    if not known:
        return GAP * len(shown)
    bottom = min(known) if low is None else low
    top = max(known) if high is None else high
    return "".join(GAP if value is None else _block(value, bottom, top, blocks) for value in shown)


def _block(value: float, bottom: float, top: float, blocks: str) -> str:
    if top <= bottom:
        return blocks[len(blocks) // 2]
    share = (min(max(value, bottom), top) - bottom) / (top - bottom)
    return blocks[min(int(share * len(blocks)), len(blocks) - 1)]


def _thinned(values: Sequence[float | None], width: int) -> list[float | None]:
    """Means of as many equal parts as there is room for."""
    if width < 1:
        return []
    if len(values) <= width:
        return list(values)
    edges = [round(part * len(values) / width) for part in range(width + 1)]
    return [_mean(values[start:end]) for start, end in pairwise(edges)]


def _mean(part: Sequence[float | None]) -> float | None:
    known = [value for value in part if value is not None]
    return sum(known) / len(known) if known else None

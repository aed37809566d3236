"""Numbers, times and texts as the pages show them. Pure. In: a value, None where there is none. Out: text."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

NOTHING = "–"
SHOWN_CHARS = 20_000  # of one text on a page; REST has the whole


def count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def decimal(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def change(value: float) -> str:
    """A difference of two shares, with its sign, in points."""
    return f"{100 * value:+.1f}"


def score(value: float | None) -> str:
    """A score or a mean of two: 7 or 7.5."""
    return NOTHING if value is None else f"{value:g}"


def money(value: float | None, currency: str) -> str:
    """Small amounts with more digits, because a run begins with them."""
    if value is None:
        return NOTHING
    digits = 2 if value >= 1 or value == 0 else 4
    return f"{value:,.{digits}f} {currency}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h"
    if hours:
        return f"{hours} h {minutes_left:02} min"
    return f"{minutes} min {left:02} s" if minutes else f"{left} s"


def moment(value: datetime | None) -> str:
    """In UTC, as everywhere in the logs."""
    return NOTHING if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def day(value: datetime) -> str:
    return value.strftime("%Y-%m-%d")


def detail(entry: Mapping[str, Any]) -> str:
    """What a log entry says besides, in a line: its plain values, since REST has the others."""
    said = [
        f"{words(name)} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in entry.items()
        if isinstance(value, str | int | float)
    ]
    return shortened(", ".join(said), 240)


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()} …"


def words(name: str) -> str:
    """A name from the code as people read it."""
    return name.replace("_", " ")

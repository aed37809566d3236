"""Whether a failed try is repeated, and after what pause. Pure: in what came and the time, out seconds or None."""

import random
from email.utils import parsedate_to_datetime

TRIES = 3
RETRIED = {429, 500, 502, 503, 504}
LONGEST_PAUSE_S = 5.0  # an engine that wants a longer one is not waited for inside a call
LONGEST_RETRY_AFTER_S = 60.0
FIRST_PAUSE_S = 0.2


def pause_before_next(
    attempt: int, status: int | None, retry_after_s: float | None, chance: float | None = None
) -> float | None:
    """Seconds until the next try; None where there is none.

    `status` is None where the connection failed before a byte of a reply. `chance`, from 0 to 1, is the jitter.
    """
    if attempt >= TRIES or (status is not None and status not in RETRIED):
        return None
    if retry_after_s is not None and retry_after_s > LONGEST_PAUSE_S:
        return None
    jitter = 0.5 + (random.random() if chance is None else chance)
    return max(retry_after_s or 0.0, FIRST_PAUSE_S * 2.0 ** (attempt - 1) * jitter)


def retry_after_s(value: str | None, now: float) -> float | None:
    """A Retry-After header's seconds, given in seconds or as an HTTP date; `now` is the Unix time."""
    if not value:
        return None
    try:
        seconds = float(value) if value.replace(".", "").isdigit() else _until(value, now)
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _until(date: str, now: float) -> float:
    return float(parsedate_to_datetime(date).timestamp()) - now

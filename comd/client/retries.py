"""How long to wait before a request is repeated. Pure. In: the attempt that failed, and how. Out: seconds, or None."""

from shared.errors import ComdError, EngineUnavailable, TooManyRequests

PAUSES_S = (0.2, 0.6, 1.2)  # before the second, third and fourth attempt
LONGEST_S = 30.0  # what a service may ask us to wait


def pause_s(attempt: int, error: ComdError, retries: int) -> float | None:
    """Before the attempt after `attempt` (the first is 0); None: it is over, the error stands."""
    if attempt >= retries or not isinstance(error, EngineUnavailable | TooManyRequests):
        return None
    wait = max(PAUSES_S[min(attempt, len(PAUSES_S) - 1)], float(error.headers["retry-after"]))
    return wait if wait <= LONGEST_S else None

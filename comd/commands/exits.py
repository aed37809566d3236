"""The command's exit statuses: the one table. In: an error, or how a run ended. Out: a status."""

from enum import IntEnum

from shared.errors import ComdError


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    AWAY = 3
    REFUSED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    PAUSED = 7
    CANCELLED = 8
    INTERRUPTED = 130


MEANING = {
    Exit.DONE: "done; the run that was watched is finished or exhausted",
    Exit.FAILED: "the work failed: a run, a file to write; `doctor` found a problem",
    Exit.USAGE: "wrong usage: a word, a file or a setting that cannot be used",
    Exit.AWAY: "the coordinator (or another service) is away or too busy",
    Exit.REFUSED: "refused: no such key, or its scope does not allow it",
    Exit.NOT_FOUND: "there is no such run, evaluation, data set, benchmark, iteration, picture or key",
    Exit.CONFLICT: "not as things stand: a run in another state, a name or port in use",
    Exit.PAUSED: "the run that was watched is paused",
    Exit.CANCELLED: "the run that was watched is cancelled",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
}
OF_HTTP = {
    400: Exit.USAGE,
    401: Exit.REFUSED,
    403: Exit.REFUSED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    413: Exit.USAGE,
    422: Exit.USAGE,
    429: Exit.AWAY,
    503: Exit.AWAY,
}
OF_RUN = {
    "finished": Exit.DONE,
    "exhausted": Exit.DONE,
    "failed": Exit.FAILED,
    "paused": Exit.PAUSED,
    "cancelled": Exit.CANCELLED,
}


def of_error(error: ComdError) -> Exit:
    return OF_HTTP.get(error.status, Exit.FAILED)


def table() -> list[str]:
    """A line a status."""
    return [f"{status.value:>3}  {meaning}" for status, meaning in MEANING.items()]

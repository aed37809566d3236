"""Errors that only a client has; those of services are in `shared.errors`."""

from shared.errors import ComdError


class StillRunning(ComdError, TimeoutError):
    """What was waited for has not happened in time; it goes on."""

    status, type, code = 504, "timeout_error", "still_running"

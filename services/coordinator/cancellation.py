"""Cancellations that get lost: a client swallows one in the middle of a call, or an error takes its place."""

import asyncio


def end_if_cancelled() -> None:
    """CancelledError where this task was told to end; whoever repeats something for ever asks here."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

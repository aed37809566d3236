"""An error as the terminal shows it. In: the error. Out: one sentence on stderr, a hint below it; or JSON."""

import difflib
import json
import sys
from collections.abc import Iterable

import typer

from comd.commands.exits import Exit, of_error
from comd.printable import printable
from shared.errors import ComdError, NotFound

HINTS = {  # by the error's code, where the error itself has none
    "invalid_api_key": "give a key in COMD_API_KEY; where the coordinator runs, `comd key show` prints it",
    "forbidden": "whoever runs the coordinator makes a key that may: `comd key create NAME --scope run`",
    "run_not_found": "`comd run list` shows those there are",
    "rate_limit_exceeded": "wait a moment and try again",
}


class UnknownName(NotFound):
    """Nothing is called so; the hint names what is called nearly so."""

    def __init__(self, what: str, name: str, known: Iterable[str], list_command: str):
        near = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(
            f"there is no {what} {name!r}", hint=f"{meant}`{list_command}` shows those there are"
        )


def tell(error: Exception, as_json: bool) -> Exit:
    """Say it on stderr; gives the exit status."""
    said, status = _said(error)
    if not said["message"]:  # of a group without a command, whose help is printed already
        return status
    if as_json:
        print(json.dumps({"error": {**said, "exit_status": status}}), file=sys.stderr)
        return status
    first, *more = (printable(line) for line in str(said["message"]).splitlines())
    print(f"comd: {first}", *more, sep="\n      ", file=sys.stderr)
    if said["hint"]:
        print(f"  -> {said['hint']}", file=sys.stderr)
    return status


def _said(error: Exception) -> tuple[dict[str, object], Exit]:
    if isinstance(error, ComdError):
        hint = error.hint or HINTS.get(error.code)
        return {"message": error.message, "code": error.code, "hint": hint}, of_error(error)
    if isinstance(error, typer.TyperException):
        return {"message": error.format_message(), "code": "usage", "hint": _help_of(error)}, Exit.USAGE
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        message = f"{place}{error.strerror or error}"
        return {"message": message, "code": "operating_system", "hint": None}, Exit.FAILED
    raise error


def _help_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path if context else 'comd'} --help` explains it"

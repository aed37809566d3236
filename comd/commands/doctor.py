"""`comd doctor`: is everything there, ready, of one version, and right in time; and what to do where it is not."""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path

import httpx
import typer
from rich.console import Console
from rich.text import Text

from comd.commands.connection import AsJson, connect
from shared.errors import ComdError
from shared.finding import Finding, clock, disk, ok, problem, warning
from shared.keys import home, load_keys

VERSION = version("comd")
COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(as_json: AsJson = False) -> None:
    """Look whether every service, store, disk, clock and key is well, and say what to do where not."""
    found = [*of_this_machine(home()), *of_the_system()]
    if as_json:
        print(json.dumps([finding.as_json() for finding in found]))
    else:
        show(Console(), found)
    if any(finding.level == "problem" for finding in found):
        raise typer.Exit(1)


def of_this_machine(folder: Path) -> Iterator[Finding]:
    """The keys' files and the disks."""
    yield key_files(folder / "keys")
    yield disk("data disk", folder)
    yield disk("temporary disk here", Path(tempfile.gettempdir()))


def key_files(folder: Path) -> Finding:
    """Nobody but the user may read them."""
    open_ = [path for path in (folder, *sorted(folder.glob("*-key"))) if _is_open(path)]
    if open_:
        named = ", ".join(map(str, open_))
        todo = f"chmod -R go-rwx {folder}; if others may have read the keys, delete the files and start anew"
        return problem("keys", f"others may read {named}", todo)
    return ok("keys", f"only you can read {folder}" if folder.exists() else "made at the first start")


def _is_open(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o077)


def of_the_system() -> list[Finding]:
    """What the coordinator sees; without one, what can be seen from here."""
    with connect() as client:
        try:
            ahead_s = _ahead_s(client.url)
            seen = client.doctor()
        except (ComdError, httpx.HTTPError) as error:
            return [_without_coordinator(client.url, error), *_from_here()]
    data = [Finding(**finding.model_dump()) for finding in seen.data]
    return [*_coordinator(client.url, seen.version, ahead_s), *data]


def _ahead_s(url: str) -> float:
    """How far the coordinator's clock is ahead of this machine's, to a second."""
    health = httpx.get(f"{url}/health", timeout=10, trust_env=False)
    return parsedate_to_datetime(health.headers["date"]).timestamp() - time.time()


def _coordinator(url: str, there: str, ahead_s: float) -> Iterator[Finding]:
    if there == VERSION:
        yield ok("coordinator", f"{url}: version {there}")
    else:
        todo = "install the same version on both sides"
        yield warning("coordinator", f"{url}: version {there}, this command is {VERSION}", todo)
    yield clock("coordinator clock", ahead_s, "this machine's")


def _without_coordinator(url: str, error: Exception) -> Finding:
    todo = "start it with `comd up`, or set COMD_URL and COMD_API_KEY to where it is"
    return problem("coordinator", f"{url} cannot be asked: {error}", todo)


def _from_here() -> list[Finding]:
    try:  # brings the database's driver, which a client elsewhere does not need
        from services.coordinator.doctor.environment import look_from_here
    except ModuleNotFoundError as error:
        todo = "pip install 'comd[coordinator]' here, or look from where the coordinator is installed"
        return [warning("services", f"not looked at from here: there is no {error.name}", todo)]
    return asyncio.run(look_from_here(load_keys()))


def show(console: Console, found: list[Finding]) -> None:
    """A line each, and below it what to do."""
    width = max(len(finding.what) for finding in found)
    for finding in found:
        line = Text(f"{finding.level:8}", COLOURS[finding.level])
        line.append(f" {finding.what:{width}}  {finding.said}", "default")
        console.print(line, soft_wrap=True)
        if finding.todo:
            console.print(
                f"{'':8} {'':{width}}  -> {finding.todo}", soft_wrap=True, highlight=False, markup=False
            )
    problems = sum(finding.level == "problem" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    console.print(
        f"{len(found)} looked at: {problems} problems, {warnings} warnings.", highlight=False, soft_wrap=True
    )

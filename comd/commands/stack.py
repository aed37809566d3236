"""`comd demo` and `comd up`: the whole stack on this machine, until the demo's end, Ctrl-C or SIGTERM."""

import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shared import logs
from shared.settings import load


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, even where an unfinished demo could go on.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the pictures, the student and the run.")] = 0,
    base_port: Annotated[int, typer.Option(help="First of the ten ports that the services take.")] = 8100,
) -> None:
    """Run the whole loop once, small: a tiny student learns from a scripted teacher in a few minutes."""
    from comd.demo.run import run_demo  # brings torch, which no other command needs

    run_demo(Console(), fresh=fresh, seed=seed, base_port=base_port)


def up(
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the settings of the services.", show_default=False)
    ] = None,
    base_port: Annotated[
        int | None,
        typer.Option(
            help="The coordinator's port; the others follow it.", show_default="the settings', else 8100"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of worker processes.", show_default="the settings', else 1")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings and stop.")] = False,
) -> None:
    """Start every service on this machine, and stop them with Ctrl-C.

    Postgres and Redis are started too, unless DATABASE_URL and REDIS_URL name others.
    """
    from comd.stack.settings import StackSettings
    from comd.stack.stack import Stack  # brings the database's driver, which a client elsewhere does not need

    flags = ["--config", str(config)] if config else []
    flags += [f"--base-port={base_port}"] if base_port else []
    flags += [f"--workers={workers}"] if workers else []
    settings = load(StackSettings, flags + (["--dry-run"] if dry_run else []), program="comd up")
    console = Console()
    logs.configure("stack")
    stop_on_sigterm()
    console.print("Starting ...")
    with Stack(
        settings, announce=lambda name: console.print(f"  {name} is up at {settings.url(name)}")
    ) as stack:
        console.print(f"The stack is up. Logs: {settings.home / 'logs'}. Ctrl-C stops everything.")
        console.print(where_to_look(stack.url, settings.home), highlight=False, soft_wrap=True)
        while True:
            stack.check()
            time.sleep(0.5)


def where_to_look(url: str, home: Path) -> str:
    """The dashboard's address, and what prints the key to it when it is typed in this folder."""
    program = Path(sys.executable).with_name("comd")
    named = "comd" if shutil.which("comd") == str(program) else shlex.quote(_from_here(program))
    place = "" if home == Path("var").absolute() else f"COMD_HOME={shlex.quote(_from_here(home))} "
    return f"Dashboard: {url}/   The key to sign in with: {place}{named} key show"


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def stop_on_sigterm() -> None:
    """SIGTERM ends us as Ctrl-C does: in good order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)

"""`comd up`: the whole stack on this machine, until Ctrl-C or SIGTERM."""

import signal
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comd.stack.settings import StackSettings
from shared import logs
from shared.settings import load


def up(
    config: Annotated[Path | None, typer.Option(help="TOML file with the stack's settings")] = None,
    base_port: Annotated[int | None, typer.Option(help="the coordinator's port; the others follow")] = None,
    workers: Annotated[int | None, typer.Option(help="worker processes")] = None,
    dry_run: Annotated[bool, typer.Option(help="print the settings and stop")] = False,
) -> None:
    """Start every service, with Postgres and Redis unless DATABASE_URL and REDIS_URL name others."""
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
        while True:
            stack.check()
            time.sleep(0.5)


def stop_on_sigterm() -> None:
    """SIGTERM ends us as Ctrl-C does: in good order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)

"""`comd run ...`: the commands about runs, grouped as their help shows them."""

from collections.abc import Callable

import typer

from comd.commands import (
    branching,
    changing,
    comparing,
    controlling,
    heldout,
    history,
    looking,
    starting,
    watching,
)

app = typer.Typer(help="Begin runs, watch them, change and end them.", no_args_is_help=True)
PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Begin": {"create": starting.create, "start": starting.start, "branch": branching.branch},
    "Look": {
        "list": looking.list_,
        "watch": watching.watch,
        "show": looking.show,
        "iterations": looking.iterations,
        "curve": looking.curve,
        "heldout": heldout.heldout,
        "flips": comparing.flips,
        "usage": looking.usage,
        "failures": history.failures,
        "log": history.log,
        "events": watching.events,
    },
    "Stop and go on": {
        "pause": controlling.pause,
        "resume": controlling.resume,
        "retry": controlling.retry,
        "cancel": controlling.cancel,
    },
    "Change": {
        "swap": changing.swap,
        "restart-assessment": changing.restart_assessment,
        "price": changing.price,
        "budget": changing.budget,
    },
}
for panel, commands in PANELS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)

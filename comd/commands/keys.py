"""`comd key show`: the bearer key of this machine's services."""

import typer

from shared.keys import load_keys

app = typer.Typer(help="the bearer key of this machine's services", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The bearer key of this machine's services."""


@app.command()
def show() -> None:
    """Print the key that opens the services of this machine (made at the first start)."""
    print(load_keys().api)

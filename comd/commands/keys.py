"""`comd key show | create | list | revoke`: this machine's own bearer key, and named ones with a scope."""

from datetime import datetime
from typing import Annotated

import typer

from comd.commands import completion
from comd.commands.connection import AsJson, connect
from comd.commands.printing import print_json, print_list
from shared.keys import load_keys
from shared.scopes import KeyScope

app = typer.Typer(
    help="Show this machine's key; make, list and revoke keys for others.", no_args_is_help=True
)
KeyName = Annotated[
    str, typer.Argument(metavar="KEY", help="Name of the key.", autocompletion=completion.keys)
]


@app.callback()
def group() -> None:
    """Show this machine's key; make, list and revoke keys for others."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print the key that opens the services of this machine; it is made at the first start."""
    key = load_keys().api
    if as_json:
        print_json({"key": key})
    else:
        print(key)


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="KEY", help="Name of the new key: who will use it. Logs tell it.")
    ],
    scope: Annotated[
        KeyScope,
        typer.Option(help="What it allows. read: look; run: also begin and change runs; admin: also keys."),
    ] = "read",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    with connect() as client:
        made = client.keys.create(name, scope)
    if as_json:
        print_json(made)
    else:
        print(made.key)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the named keys, revoked ones too."""
    with connect() as client:
        keys = client.keys.list()
    if as_json:
        print_list(keys)
        return
    for key in keys:
        used = f"last used {_minute(key.last_used_at)}" if key.last_used_at else "never used"
        ended = f", revoked {_minute(key.revoked_at)}" if key.revoked_at else ""
        print(f"{key.name}  {key.scope}  made {_minute(key.created_at)}, {used}{ended}")


@app.command()
def revoke(name: KeyName, as_json: AsJson = False) -> None:
    """Refuse a key from now on, for good; what it began goes on."""
    with connect() as client:
        revoked = client.keys.revoke(name)
    if as_json:
        print_json(revoked)
    else:
        print(f"the key {name} is revoked; every coordinator refuses it within 5 s")


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")

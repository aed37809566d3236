"""`comd key show | create | list | revoke`: this machine's own bearer key, and named ones with a scope."""

import json
from typing import Annotated

import typer

from comd.commands import completion
from comd.commands.connection import AsJson, connect
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
    print(json.dumps({"key": key}) if as_json else key)


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="KEY", help="Name of the new key: who will use it. Logs tell it.")
    ],
    scope: Annotated[
        KeyScope, typer.Option(help="read: look; run: also begin and change runs; admin: also keys.")
    ] = "read",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    with connect() as coordinator:
        made = coordinator.make_key(name, scope)
    print(json.dumps(made) if as_json else made["key"])


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the named keys, revoked ones too."""
    with connect() as coordinator:
        keys = coordinator.keys()
    if as_json:
        print(json.dumps(keys))
        return
    for key in keys:
        used = f"last used {_minute(key['last_used_at'])}" if key["last_used_at"] else "never used"
        ended = f", revoked {_minute(key['revoked_at'])}" if key["revoked_at"] else ""
        print(f"{key['name']}  {key['scope']}  made {_minute(key['created_at'])}, {used}{ended}")


@app.command()
def revoke(name: KeyName, as_json: AsJson = False) -> None:
    """Refuse a key from now on, for good; what it began goes on."""
    with connect() as coordinator:
        revoked = coordinator.revoke_key(name)
    said = f"the key {name} is revoked; every coordinator refuses it within 5 s"
    print(json.dumps(revoked) if as_json else said)


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")

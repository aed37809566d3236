"""`comd key show | create | list | revoke`: this machine's own bearer key, and named ones with a scope."""

import json
from typing import Annotated

import typer

from comd.commands.connection import connect
from shared.keys import load_keys
from shared.scopes import KeyScope

app = typer.Typer(help="bearer keys: this machine's, and named ones with a scope", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]


@app.callback()
def group() -> None:
    """Bearer keys: this machine's, and named ones with a scope."""


@app.command()
def show() -> None:
    """Print the key that opens the services of this machine (made at the first start)."""
    print(load_keys().api)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="who will use it; stands in logs and in the event log")],
    scope: Annotated[
        KeyScope, typer.Option(help="read: look; run: also begin and change runs; admin: also keys")
    ] = "read",
    as_json: AsJson = False,
) -> None:
    """Make a key of the coordinator and print it: it is stored as a hash, and cannot be shown again."""
    with connect() as coordinator:
        made = coordinator.make_key(name, scope)
    print(json.dumps(made) if as_json else made["key"])


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The coordinator's named keys, revoked ones too."""
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
def revoke(name: Annotated[str, typer.Argument(help="of the key")]) -> None:
    """Refuse a key from now on, for good; what it began goes on."""
    with connect() as coordinator:
        coordinator.revoke_key(name)
    print(f"the key {name} is revoked; every coordinator refuses it within 5 s")


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")

"""`comd open`: the dashboard in a browser."""

import webbrowser
from typing import Annotated
from urllib.parse import quote

import typer

from comd.commands.connection import OptionalRunName, connect, find_run

SIGN_IN = "Sign in with the key that `comd key show` prints where the coordinator runs."


def open_(
    name: OptionalRunName = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the address and open nothing.")] = False,
) -> None:
    """Open the dashboard, or a run's page, in the browser."""
    address = page_of(name)
    if print_only:
        print(address)
    elif webbrowser.open(address):
        print(f"Opened {address}. {SIGN_IN}")
    else:
        print(f"There is no browser here. Open {address} where there is one. {SIGN_IN}")


def page_of(name: str | None) -> str:
    """The address never holds a key: addresses end up in histories and logs."""
    with connect() as client:
        if name is None:
            return f"{client.url}/"
        return f"{client.url}/runs/{quote(find_run(client, name).id, safe='')}"

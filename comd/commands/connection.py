"""Where the coordinator is and with which key: `COMD_URL`, and the key of this machine's stack.

Also the arguments that many commands take.
"""

import os
from typing import Annotated

import typer

from comd.client import Coordinator
from shared.keys import load_keys

RunName = Annotated[str, typer.Argument(help="the run's name or id")]
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]


def connect() -> Coordinator:
    return Coordinator(os.environ.get("COMD_URL") or "http://127.0.0.1:8100", load_keys().api)

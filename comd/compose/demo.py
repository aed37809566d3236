"""`python -m comd.compose.demo`: the demo's loop on a stack of containers that is up already.

In: the coordinator's URL and key, a folder that it sees at the same path. Out: a finished run, its report in that
folder, and on the terminal where REST answers. Started again it goes on where it was, or shows the result once more.
"""

import os
import sys
import time
from pathlib import Path

from rich.console import Console

from comd.client import Client
from comd.commands.connection import connect
from comd.demo.beginning import NAME, begin, go_on
from comd.demo.folder import DemoFolder
from comd.demo.make import CHOSEN, choose_captions, make_world
from comd.demo.result import show_result, write_result
from comd.report.material import gather
from comd.watch import watch_run
from shared import logs
from shared.errors import ComdError

ROOT, SEED = Path("/demo"), 0
WELL = {"finished", "exhausted"}
PROMISE = (
    "A student of 1.2 million parameters learns to answer questions about pictures of coloured shapes.\n"
    "Its teacher, judge and question writer are a scripted engine: a program that sees the pictures' pixels."
)
NEXT_COMMANDS = (
    "export COMD_KEY=$(docker compose exec -T coordinator comd key show)",
    'curl -H "Authorization: Bearer $COMD_KEY" {url}/v1/runs',
    "docker compose cp coordinator:/demo/report.html report.html",
    "docs/deployment.md                   # engines on GPUs, your own data, another teacher",
)


def main() -> None:
    url = os.environ.get("COMD_PUBLIC_URL", "http://127.0.0.1:8100")
    logs.configure("demo", quiet=True)
    console = Console(width=100)
    console.print(PROMISE, highlight=False, soft_wrap=True)
    folder = DemoFolder(SEED, ROOT)
    with folder.held(), connect() as client:
        make_world(folder)
        console.print(choose_captions(folder), highlight=False)
        run = _loop(console, client, folder)
        given = gather(client, run)
        next_commands = [command.format(url=url) for command in NEXT_COMMANDS]
        write_result(folder, given, next_commands)
        files = f"Report: {folder.report}   Numbers: {folder.summary}"
        show_result(console, given.report, lambda picture: f"{url}/v1/images/{picture}", files, next_commands)
    console.print(f"\nThe loop has run. REST answers at {url} until `docker compose down`.", soft_wrap=True)


def _loop(console: Console, client: Client, folder: DemoFolder) -> str:
    """The id of the demo's run, once it is at its end."""
    begun = [run for run in client.runs.list() if run.name == NAME]
    captions = folder.captions / CHOSEN
    run_id = begun[0].id if begun else begin(console, client, folder, captions)
    while not folder.student.exists():  # in the making, in a container of its own
        time.sleep(0.2)
    go_on(client, run_id)
    run = watch_run(client, run_id, console)
    if run.status not in WELL:
        raise ComdError(f"the demo's run is {run.status}; `docker compose logs` says why")
    return run_id


if __name__ == "__main__":
    try:
        main()
    except ComdError as error:
        sys.exit(f"demo: {error.message}")

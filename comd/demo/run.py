"""`comd demo`: makes the world, starts the stack, runs the loop, shows the result.

Ctrl-C stops everything; the next demo goes on where this one was.
"""

import os
import time

from rich.console import Console

from comd.client import Client
from comd.commands.stack import stop_on_sigterm, where_to_look
from comd.demo.beginning import begin, go_on
from comd.demo.folder import DemoFolder
from comd.demo.make import CHOSEN, choose_captions, make_world, student_in_the_making
from comd.demo.result import show_result, write_result
from comd.report.material import gather
from comd.stack.settings import StackSettings
from comd.stack.stack import Stack
from comd.watch import watch_run
from shared import logs
from shared.errors import ComdError

MAX_THREADS = 4  # more do not help a model of this size
SCRIPTED = {"error_rate": 0.03, "unreadable_rate": 0.005}
PROMISE = (
    "A student of 1.2 million parameters learns to answer questions about pictures of coloured shapes.\n"
    "Its teacher, judge and question writer are a scripted engine: a program that sees the pictures' pixels.\n"
    "Everything else is the real system: six services, workers, Postgres, Redis, DeepSpeed training."
)


def run_demo(console: Console, fresh: bool, seed: int, base_port: int) -> None:
    """The whole demo; raises ComdError with a reason where it cannot be done."""
    started = time.monotonic()
    folder = DemoFolder(seed)
    logs.configure("demo", quiet=True)
    stop_on_sigterm()
    console.print(PROMISE, highlight=False, soft_wrap=True)
    with folder.held():
        unfinished = None if fresh else folder.unfinished_run()
        if unfinished:
            console.print("Going on with the unfinished demo; `make demo DEMO_FLAGS=--fresh` starts over.")
        else:
            if folder.summary.exists():
                console.print("Starting over: the last demo's results are replaced.")
            folder.begin_again()
        try:
            _run(console, folder, unfinished, base_port, started)
        except KeyboardInterrupt:
            console.print("\nStopped; nothing is left running. `make demo` goes on where this was.")
            raise


def _run(
    console: Console, folder: DemoFolder, unfinished: str | None, base_port: int, started: float
) -> None:
    console.print("Making the world and the student's base model, starting the stack ...")
    with student_in_the_making(folder) as is_made, Stack(stack_settings(folder, base_port)) as stack:
        make_world(folder)
        console.print(choose_captions(folder), highlight=False)
        with Client(stack.url, stack.keys.api) as client:
            run_id = unfinished or begin(console, client, folder, folder.captions / CHOSEN)
            folder.mark_begun(run_id)
            while not is_made():
                stack.check()
                time.sleep(0.1)
            go_on(client, run_id)
            console.print(f"The loop begins ({time.monotonic() - started:.0f} s after the start).")
            console.print(where_to_look(stack.url, folder.home), highlight=False, soft_wrap=True)
            run = watch_run(client, run_id, console, stack.check)
            if run.status not in {"finished", "exhausted"}:
                raise ComdError(
                    f"the demo's run is {run.status}; the logs are in {folder.home / 'logs'}. "
                    "`make demo` tries again, `make demo DEMO_FLAGS=--fresh` starts over"
                )
            given = gather(client, run_id)
            store = (folder.home / "images").relative_to(folder.root.absolute().parents[1])
            write_result(folder, given)
            files = f"Report: {folder.report}   Numbers: {folder.summary}"
            show_result(console, given.report, lambda picture: str(store / picture[:2] / picture), files)
    folder.mark_finished()
    console.print(f"The demo took {time.monotonic() - started:.0f} s.")


def stack_settings(folder: DemoFolder, base_port: int) -> StackSettings:
    """The demo's stack: the scripted engine behind the three roles, the tiny student in the trainer."""
    os.environ["COMD_HOME"] = str(folder.home)
    return StackSettings(
        home=folder.home,
        base_port=base_port,
        image_store=str(folder.home / "images"),
        scripted=SCRIPTED,
        trainer={
            "base_students": {"tiny": str(folder.student)},
            "threads": min(os.cpu_count() or 1, MAX_THREADS),
        },
        coordinator={"data_roots": [str(folder.world), str(folder.captions)]},
    )

"""The `comd` command. In: words and flags. Out: an exit status (`comd.commands.exits`), errors on stderr."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from comd.commands import (
    ablating,
    benchmarks,
    captions,
    data,
    doctor,
    evaluate,
    evaluations,
    history,
    instructions,
    keys,
    opening,
    pool,
    report,
    runs,
    stack,
    student,
    train,
)
from comd.commands.errors import tell
from comd.commands.exits import Exit, table
from shared.errors import ComdError

START, PREPARE, RUNS, MADE = "Getting started", "Before a run", "Runs", "What runs made"
MEASURE = "Benchmarks"
ORDER = (  # as a newcomer meets them
    *("demo", "ablate", "up", "open", "key", "doctor"),
    *("student", "data", "captions", "train"),
    *("run", "report", "log"),
    *("evaluate", "evaluation", "benchmark"),
    *("pool", "instruction", "image"),
)
EXAMPLE = (
    "comd up --config stack.toml                      # in one terminal",
    "comd data import train.json --images pictures    # in another",
    "comd run start first --dataset train --watch",
    "comd open first",
)
ENVIRONMENT = {
    "COMD_URL": "where the coordinator is; default: http://127.0.0.1:8100",
    "COMD_API_KEY": "the key to show it; default: this machine's (`comd key show`)",
    "COMD_HOME": "keys and data of this machine; default: the folder `var` here",
}


class InOrder(typer.core.TyperGroup):
    """Commands and groups of commands in one order; Typer would list the groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)


def _epilog() -> str:
    variables = [f"{name:13} {meaning}" for name, meaning in ENVIRONMENT.items()]
    example = [f"  {line}" for line in EXAMPLE]
    return "\n".join(("A first run:", *example, "", "Environment:", *variables, "", "Exit status:", *table()))


app = typer.Typer(
    name="comd",
    cls=InOrder,
    help="Distil a large vision-language model into a small one: ask, train, judge, ask what it found hard.",
    epilog=_epilog(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo", rich_help_panel=START)(stack.demo)
app.command("ablate", rich_help_panel=START)(ablating.ablate)
app.command("up", rich_help_panel=START)(stack.up)
app.command("open", rich_help_panel=START)(opening.open_)
app.command("doctor", rich_help_panel=START)(doctor.doctor)
app.add_typer(keys.app, name="key", rich_help_panel=START)
app.add_typer(student.app, name="student", rich_help_panel=PREPARE)
app.add_typer(data.app, name="data", rich_help_panel=PREPARE)
app.add_typer(captions.app, name="captions", rich_help_panel=PREPARE)
app.add_typer(train.app, name="train", rich_help_panel=PREPARE)
app.add_typer(runs.app, name="run", rich_help_panel=RUNS)
app.command("report", rich_help_panel=RUNS)(report.report)
app.command("log", rich_help_panel=RUNS)(history.whole_log)
app.command("evaluate", rich_help_panel=MEASURE)(evaluate.evaluate)
app.add_typer(evaluations.app, name="evaluation", rich_help_panel=MEASURE)
app.add_typer(benchmarks.app, name="benchmark", rich_help_panel=MEASURE)
app.add_typer(pool.app, name="pool", rich_help_panel=MADE)
app.add_typer(instructions.app, name="instruction", rich_help_panel=MADE)
app.add_typer(instructions.images, name="image", rich_help_panel=MADE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(given, prog_name="comd", standalone_mode=False) or Exit.DONE
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough (`comd run list | head -1`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = Exit.FAILED
    except (ComdError, typer.TyperException, OSError) as error:
        status = tell(error, as_json="--json" in given)
    except (KeyboardInterrupt, typer.Abort):
        status = Exit.INTERRUPTED
    if status == Exit.INTERRUPTED:
        print("comd: stopped", file=sys.stderr)
    raise SystemExit(int(status))

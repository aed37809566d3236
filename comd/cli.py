"""The `comd` command. In: words and flags. Out: exit status 0, or a message and another status."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from comd.commands import captions, data, doctor, keys, pool, report, runs, stack, student, train
from shared.errors import ComdError

app = typer.Typer(
    help="Competitive multi-modal distillation: a large vision-language model into a small one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("up")(stack.up)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="run")
app.add_typer(pool.app, name="pool")
app.add_typer(captions.app, name="captions")
app.add_typer(keys.app, name="key")
app.add_typer(student.app, name="student")
app.add_typer(train.app, name="train")


@app.command("demo")
def demo(
    fresh: Annotated[
        bool, typer.Option(help="start over, even where an unfinished demo could go on")
    ] = False,
    seed: Annotated[int, typer.Option(help="of the world, the student and the run")] = 0,
    base_port: Annotated[int, typer.Option(help="first of the ten ports of the stack")] = 8100,
) -> None:
    """The whole loop on this machine: a tiny student learns from a scripted teacher."""
    from comd.demo.run import run_demo  # brings torch, which no other command needs

    run_demo(Console(), fresh=fresh, seed=seed, base_port=base_port)


def main() -> None:
    """Run the command; an error of ours is one message on stderr and exit status 1."""
    try:
        app()
    except ComdError as error:
        print(f"comd: {error.message}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        raise SystemExit(130) from None

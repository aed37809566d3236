"""`comd ablate`: a file of arms, run over seeds on the demo's world; table and figure with intervals."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comd.commands.connection import AsJson
from comd.commands.printing import print_json

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file with the arms.", show_default=False)]


def ablate(
    file: File,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results.", show_default="runs/NAME-OF-FILE")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds to run.", show_default="the file's")] = None,
    summarise: Annotated[
        bool, typer.Option("--summarise", help="Run nothing; table and figure anew from what is stored.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and stop.")] = False,
    base_port: Annotated[int, typer.Option(help="First of the ten ports that the services take.")] = 8100,
    as_json: AsJson = False,
) -> None:
    """Compare arms of the loop over several seeds on the demo's world; what is finished is not run again."""
    from comd.ablation import session  # brings torch and numpy, which hardly another command needs
    from comd.ablation.plan import read_ablation
    from comd.ablation.results import load

    plan = read_ablation(file)
    if seeds is not None:
        plan = plan.model_copy(update={"seeds": seeds})
    folder = (out or Path("runs") / file.stem).absolute()
    if dry_run:
        print_json(plan) if as_json else session.show(Console(), plan)
        return
    console = Console(quiet=as_json)
    results = load(folder) if summarise else session.run(console, plan, folder, base_port, as_json)
    summary = session.write_summary(results, folder)
    if as_json:
        print_json(summary)
    else:
        session.show_summary(console, summary, folder)

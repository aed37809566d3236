"""One call of `comd ablate`. In: a plan and a folder. Out: results, table and figure on the disk, told as they come."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from comd.ablation.figure import draw_summary
from comd.ablation.plan import Ablation
from comd.ablation.results import Outcome, Results, begin
from comd.ablation.running import run_missing
from comd.ablation.summary import Summary, summary
from comd.ablation.tables import markdown, write_tables
from comd.commands.stack import stop_on_sigterm
from comd.holding import held
from comd.report.drawing import require_matplotlib
from shared import logs


def run(console: Console, plan: Ablation, folder: Path, base_port: int, as_json: bool) -> Results:
    """Every arm of every seed that is not there yet; with `as_json` a line for each as it ends."""
    require_matplotlib()
    logs.configure("ablation", quiet=True)
    stop_on_sigterm()
    with held(folder / "lock", f"another ablation is running in {folder.absolute()}; wait for it or stop it"):
        results = begin(folder, plan)

        def told(outcome: Outcome) -> None:
            if as_json:
                print(json.dumps(asdict(outcome)), flush=True)
            else:
                _tell(console, outcome, results)

        try:
            run_missing(console, results, folder, base_port, told)
        except KeyboardInterrupt:
            console.print("\nStopped; nothing is left running. The same command goes on where this was.")
            raise
    return results


def write_summary(results: Results, folder: Path) -> Summary:
    """Table and figure, from the stored items alone."""
    found = summary(results)
    write_tables(found, folder)
    draw_summary(found, folder)
    return found


def show_summary(console: Console, found: Summary, folder: Path) -> None:
    console.print(markdown(found), markup=False, highlight=False, soft_wrap=True)
    files = f"{folder / 'table.md'}, table.csv, iterations.csv, ablation.png and .svg"
    console.print(files, highlight=False, soft_wrap=True)


def show(console: Console, plan: Ablation) -> None:
    """What would run."""
    console.print(f"{plan.title}: {len(plan.arms)} arms, {plan.seeds} seeds", highlight=False, markup=False)
    for arm in plan.arms:
        how = "goes on from the base's first training" if plan.branches(arm) else "from its beginning"
        said = f"  {arm.name}: {arm.stands_for}; {how}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)


def _tell(console: Console, outcome: Outcome, results: Results) -> None:
    done, num = len(results.outcomes), results.ablation.seeds * len(results.ablation.arms)
    course = " ".join(f"{row.accuracy:.3f}" for row in outcome.iterations)
    said = f"{done} of {num}: seed {outcome.seed}, {outcome.arm} is {outcome.ended}: {course}"
    console.print(f"{said} ({outcome.seconds:.0f} s)", highlight=False, markup=False)

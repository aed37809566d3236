"""The table of what a run used and what it cost. In: `usage` of a run, as the coordinator gives it."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from services.coordinator.api.shapes import RunUsage

COUNTS = {  # column names that let the table fit into eighty columns
    "calls": "calls",
    "prompt_tokens": "prompt\ntokens",
    "cached_tokens": "of them\ncached",
    "completion_tokens": "completion\ntokens",
}


def usage_table(usage: RunUsage) -> Table:
    """One row a role, and the run's spending against its limit below."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold", caption_justify="left"
    )
    table.add_column("role")
    for name in (*COUNTS.values(), "engine\nseconds", f"cost\n{usage.currency}"):
        table.add_column(name, justify="right", no_wrap=True)
    for role, sums in usage.by_role.items():
        counts = (f"{getattr(sums, name):,}" for name in COUNTS)
        table.add_row(role, *counts, f"{sums.seconds:,.1f}", f"{sums.cost:,.4f}")
    table.caption = spending(usage)
    return table


def spending(usage: RunUsage) -> str:
    """What is spent, and of how much."""
    limit = "no limit" if usage.limit is None else f"of {usage.limit:,.2f}"
    return f"spent: {usage.spent:,.4f} {usage.currency} ({limit})"

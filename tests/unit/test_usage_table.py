"""What the command line shows of a run's usage."""

import io
from typing import Any

from rich.console import Console

from comd.usage_table import usage_table
from services.coordinator.api.shapes import RunUsage

SUMS = {"items": 12, "calls": 1412, "prompt_tokens": 1_234_567, "cached_tokens": 1_000_000}
USAGE: dict[str, Any] = {
    "currency": "USD",
    "spent": 49.87,
    "limit": 50.0,
    "by_role": {"teacher": {**SUMS, "completion_tokens": 654_321, "seconds": 321.04, "cost": 49.87}},
}


def shown(usage: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(usage_table(RunUsage.model_validate(usage)))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_table_fits_into_eighty_columns() -> None:
    lines = shown(USAGE).splitlines()
    row = next(line for line in lines if line.strip().startswith("teacher"))
    assert row.split() == ["teacher", "1,412", "1,234,567", "1,000,000", "654,321", "321.0", "49.8700"]
    assert "spent: 49.8700 USD (of 50.00)" in lines[-1]
    assert "(no limit)" in shown({**USAGE, "limit": None})

"""Answers as tables. In: models of the client, or an export in Parquet. Out: pandas and `datasets` objects.

pandas, pyarrow and datasets are imported here alone, where they are used: they come with the extra `data`.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from services.coordinator.api.shapes import Iteration, Shape
from shared.errors import ConfigError

NUMBERS = {frozenset({int}): "Int64", frozenset({float}): "float64"}

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame


def of_iterations(iterations: Iterable[Iteration]) -> "DataFrame":
    """A row an iteration, indexed by its number."""
    return _frame(Iteration, [_flat(one) for one in iterations], ["number"]).set_index("number")


def of_models(shape: type[Shape], models: Iterable[Shape]) -> "DataFrame":
    """A row a model with the shape's fields; the columns are there without rows, too."""
    columns = list(shape.model_fields)
    return _frame(shape, [one.model_dump(include=set(columns)) for one in models], columns)


def of_parquet(file: BinaryIO) -> "DataFrame":
    return needed("pandas").read_parquet(file)


def dataset_of(source: BinaryIO | Path) -> "Dataset":
    """In memory from an open file; from a path by `datasets`' own cache, which need not fit into memory."""
    if isinstance(source, Path):
        return needed("datasets").Dataset.from_parquet(str(source))
    return needed("datasets").Dataset(needed("pyarrow.parquet").read_table(source))


def needed(module: str) -> Any:
    """The module, or what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tables need {error.name}, which is not installed", hint="pip install 'comd[data]'"
        ) from error


def _frame(shape: type[Shape], rows: list[dict[str, Any]], columns: list[str]) -> "DataFrame":
    """Whole numbers stay whole where some are missing; missing measures are NaN."""
    table = needed("pandas").DataFrame(rows, columns=None if rows else columns)
    kinds = {name: _kind(field.annotation) for name, field in shape.model_fields.items() if name in table}
    return table.astype({name: kind for name, kind in kinds.items() if kind})


def _kind(annotation: Any) -> str | None:
    """pandas' name for whole numbers and measures that may be missing; None for what is no number."""
    return NUMBERS.get(frozenset(get_args(annotation) or {annotation}) - {type(None)})


def _flat(one: Iteration) -> dict[str, Any]:
    row = one.model_dump(exclude={"seconds", "heldout_by_kind", "usage", "endings", "training", "judge"})
    by_kind = {f"accuracy_{kind}": value for kind, value in (one.heldout_by_kind or {}).items()}
    seconds = {f"seconds_{phase}": value for phase, value in one.seconds.items()}
    return {**row, **by_kind, **seconds, "spent": one.usage.spent, "judge": (one.judge or {}).get("revision")}

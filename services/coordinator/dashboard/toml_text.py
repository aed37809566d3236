"""A run's settings as TOML text, for people to change. Pure. In: values as `RunConfig` dumps them. Out: text."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

NEVER = 1.0  # TOML has no null: no more than all items can fail


def toml_text(values: Mapping[str, Any]) -> str:
    """What is None is left out, since it is the default; but for `max_failed_share`, where it means never."""
    if values.get("max_failed_share", NEVER) is None:
        values = {**values, "max_failed_share": NEVER}
    return "\n".join(_lines(values, ()))


def _lines(values: Mapping[str, Any], table: tuple[str, ...]) -> Iterator[str]:
    """The plain values first: behind the first table's head they would belong to it."""
    plain = {
        name: value for name, value in values.items() if value is not None and not isinstance(value, Mapping)
    }
    if table and plain:
        yield f"[{'.'.join(table)}]"
    for name, value in plain.items():
        yield f"{name} = {_literal(value)}"
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*table, name))


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_literal(one)}' for name, one in value.items() if one is not None)} }}"
    return repr(value)

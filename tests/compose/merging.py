"""Compose files as Compose merges them, as far as ours go: for checks where no Compose 2 is at hand.

Mappings are merged, lists appended, commands replaced; `!override` replaces, `!reset` removes; `extends` is followed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPLACED = {"command", "entrypoint", "test"}


@dataclass(frozen=True)
class Override:
    value: Any


class _Loader(yaml.SafeLoader):
    pass


def _override(loader: _Loader, node: yaml.Node) -> Override:
    if isinstance(node, yaml.SequenceNode):
        return Override(loader.construct_sequence(node, deep=True))
    assert isinstance(node, yaml.MappingNode)
    return Override(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("!override", _override)
_Loader.add_constructor("!reset", lambda loader, node: Override(None))


def merged(*files: Path) -> dict[str, Any]:
    """One document out of several, the later over the earlier."""
    found: dict[str, Any] = {}
    for file in files:
        found = _over(found, _extended(read(file), file.parent))
    return found


def read(file: Path) -> dict[str, Any]:
    return dict(yaml.load(file.read_text(), _Loader))  # a SafeLoader with two tags


def _extended(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name, service in document["services"].items():
        if told := service.pop("extends", None):
            base = read(folder / told["file"])["services"][told["service"]]
            document["services"][name] = _over(base, service, keep_tags=True)
    return document


def _over(below: Any, above: Any, key: str = "", keep_tags: bool = False) -> Any:
    if isinstance(above, Override):
        return above if keep_tags else above.value
    if isinstance(below, list) and isinstance(above, list) and key not in REPLACED:
        return [*below, *above]
    if isinstance(above, dict):
        found = dict(below) if isinstance(below, dict) else {}
        for name, value in above.items():
            found[name] = _over(found.get(name), value, name, keep_tags)
        return {name: value for name, value in found.items() if not _is_reset(above, name, value)}
    return above


def _is_reset(above: dict[str, Any], name: str, value: Any) -> bool:
    return value is None and isinstance(above.get(name), Override)

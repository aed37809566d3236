"""The form of a new run. Pure. In: what was typed. Out: a run's settings, or what is wrong beside each field.

Fields are named as the keys of `configs/*.toml`; all other settings are TOML text in the field `more`.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from services.coordinator.dashboard.toml_text import toml_text
from services.coordinator.run_config import RunConfig
from shared.types import JsonObject

Kind = Literal["text", "whole", "number"]
ROLES = ("teacher", "assessor", "augmentor")
MOST_CHARS = 20_000  # of a field
MORE = "more"
ABOUT = ("name", "dataset")  # not part of the settings
KEY = re.compile(r"(?:body\.)?(?:config\.)?([\w.]+): ")


@dataclass(frozen=True)
class Field:
    """One setting that people change."""

    key: str
    label: str
    kind: Kind = "text"
    hint: str = ""


MAIN = (
    Field("trainings", "trainings", "whole"),
    Field("tau", "tau: difficult from", "number"),
    Field("seed", "seed", "whole"),
    Field("student.base", "student base"),
    Field("training.batch_size", "batch size", "whole"),
    Field("training.learning_rate", "learning rate", "number"),
    Field("budget.limit", "budget", "number", "none: no limit"),
)
DATASETS = (
    Field("evaluation.dataset", "held-out data set"),
    Field("pretraining.dataset", "pre-training data set"),
)
ENGINES = tuple(
    Field(f"{role}.engine.{part}", f"{role}: {said}")
    for role in ROLES
    for part, said in (("base_url", "address"), ("model", "model"))
)
BENCHMARKS = "benchmarks"  # chosen by name; those with settings of their own are TOML text
SETTINGS = {field.key: field for field in (*MAIN, *DATASETS, *ENGINES)}


@dataclass(frozen=True)
class Typed:
    """What stands in the fields."""

    values: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.values.get(key, "")

    @property
    def benchmarks(self) -> list[str]:
        """Names, none of which has a space in it."""
        return self[BENCHMARKS].split()

    @property
    def has_engines(self) -> bool:
        return any(field.key in self.given for field in ENGINES)

    @property
    def given(self) -> dict[str, str]:
        """The settings' own fields that are not empty."""
        return {key: self[key].strip() for key in SETTINGS if self[key].strip()}


class WrongFields(Exception):
    """What is wrong, by field."""

    def __init__(self, by_field: Mapping[str, str]):
        super().__init__("; ".join(by_field.values()))
        self.by_field = dict(by_field)


def settings(typed: Typed) -> JsonObject:
    """Fields and TOML text together, as `POST /v1/runs` takes them; WrongFields where they cannot be read."""
    for key in (*ABOUT, *SETTINGS, BENCHMARKS, MORE):
        if len(typed[key]) > MOST_CHARS:
            raise WrongFields({key: f"{len(typed[key])} characters; {MOST_CHARS} at most are taken"})
    found = _more(typed[MORE])
    for key, text in typed.given.items():
        _put(found, key, _value(SETTINGS[key].kind, text))
    if typed.benchmarks:
        _put(found, BENCHMARKS, [{"benchmark": name} for name in typed.benchmarks])
    return found


def _more(text: str) -> JsonObject:
    try:
        values = tomllib.loads(text.replace("\r\n", "\n"))
        found: JsonObject = orjson.loads(orjson.dumps(values))  # as it would come over REST
    except tomllib.TOMLDecodeError as error:
        raise WrongFields({MORE: f"this is not TOML: {error}"}) from error
    except (RecursionError, TypeError) as error:
        raise WrongFields({MORE: "expected tables of texts and numbers, as in configs/*.toml"}) from error
    return found


def _put(values: JsonObject, key: str, value: Any) -> None:
    *tables, name = key.split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise WrongFields({MORE: f"{table}: expected a table, [{table}]"})
        values = inner
    if name in values:
        raise WrongFields({MORE: f"{key} is given above as well; leave it in one place"})
    values[name] = value


def _value(kind: Kind, text: str) -> Any:
    """The number; what is none stays as it is, and the check of the settings says what was expected."""
    try:
        number = int(text) if kind == "whole" else float(text)
    except ValueError:
        return text
    return text if kind == "text" or not math.isfinite(number) else number


def by_field(message: str, param: str | None, typed: Typed) -> dict[str, str]:
    """A refusal's lines, each beside the field that its key names; the others stand below all of them."""
    in_text = _keys(_more(typed[MORE]))
    found: dict[str, list[str]] = {}
    last = ""
    for line in message.splitlines():
        match = None if line.startswith("allowed in ") else KEY.match(line)
        if match or (param and not last):
            last = _field(match[1] if match else str(param), in_text)
        found.setdefault(last, []).append(line)
    return {field: "\n".join(lines) for field, lines in found.items()}


def _field(key: str, in_text: set[str]) -> str:
    if key in in_text:
        return MORE
    if key in ABOUT or key in SETTINGS:
        return key
    if key.split(".")[0] == BENCHMARKS:
        return BENCHMARKS
    if key in ROLES:
        return MORE if f"{key}.engine.base_url" in in_text else f"{key}.engine.base_url"
    return MORE if any(one.startswith(f"{key}.") or key.startswith(f"{one}.") for one in in_text) else ""


def _keys(values: Mapping[str, Any], before: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in values.items():
        found |= _keys(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}"}
    return found


def typed_from(config: Mapping[str, Any], **about: str) -> Typed:
    """The form filled with settings: fields for those that have one, TOML for the others."""
    values, rest = dict(about), orjson.loads(orjson.dumps(dict(config)))
    for key in SETTINGS:
        value = _take(rest, key.split("."))
        if value is not None:
            values[key] = value if isinstance(value, str) else repr(value)
    if all(one.keys() == {"benchmark"} for one in rest.get(BENCHMARKS, [])):
        values[BENCHMARKS] = " ".join(one["benchmark"] for one in rest.pop(BENCHMARKS, []))
    return Typed({**values, MORE: toml_text(rest)})


def _take(values: Any, path: list[str]) -> Any:
    *tables, name = path
    for table in tables:
        values = values.get(table)
        if not isinstance(values, dict):
            return None
    return values.pop(name, None)


def changed(config: Mapping[str, Any]) -> JsonObject:
    """The settings that are not the defaults."""
    return RunConfig.model_validate(config).model_dump(exclude_defaults=True)


def defaults() -> Typed:
    """What an empty field means, and what is not said in the text."""
    return typed_from(RunConfig().model_dump())

"""Settings of one process: TOML file < environment < command line; frozen, unknown keys refused.

`load(Model, argv)` gives the settings or ends the process with a message that names the key.
"""

import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shared.errors import ConfigError
from shared.keys import home
from shared.masking import hide_environment, mask

MAY_BE_SECRET = re.compile("key_name|secret|password")  # a key_name may be a key, by mistake


class ProcessSettings(BaseSettings):
    """Base of every process's settings; subclasses set `env_prefix`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_nested_delimiter="__", nested_model_default_partial_update=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # init carries the TOML file; the command line goes before both


Settings = TypeVar("Settings", bound=ProcessSettings)


def load(model: type[Settings], argv: Sequence[str] | None = None, program: str | None = None) -> Settings:
    """Settings from `--config FILE`, the environment and flags. `--dry-run` prints them and exits 0."""
    hide_environment()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        file, arguments = _take_value(arguments, "--config")
        dry_run = "--dry-run" in arguments
        flags = [argument for argument in arguments if argument != "--dry-run"]
        _refuse_unknown_environment(model)
        cli: CliSettingsSource[Any] = CliSettingsSource(
            model, cli_parse_args=flags, cli_prog_name=program, cli_kebab_case=True, cli_exit_on_error=False
        )
        settings = model(_cli_settings_source=cli, **(read_toml(Path(file)) if file else {}))
    except (ConfigError, ValidationError, SettingsError) as error:
        _refuse(program or model.__name__, explain(error))
    if dry_run:
        print(mask(settings.model_dump_json(indent=2)))
        raise SystemExit(0)
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; ConfigError where it is not there or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def explain(error: Exception) -> str:
    """One line per wrong key: its name, what is allowed, what came."""
    if not isinstance(error, ValidationError):
        return str(error)
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(whole)"
        is_secret = MAY_BE_SECRET.search(str(item["loc"][-1:]))
        is_told = item["type"] not in {"missing", "extra_forbidden"} and not is_secret
        came = f", got {item['input']!r}" if is_told else ""
        said = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
        lines.append(f"{key}: {said}{came}")
    return "\n".join(lines)


def known_keys(model: type[Any]) -> list[str]:
    """The keys that a settings model takes, for messages."""
    return sorted(model.model_fields)


def default_image_store() -> str:
    """The one image store of this machine: `COMD_IMAGE_STORE`, else a folder below `COMD_HOME`."""
    return os.environ.get("COMD_IMAGE_STORE") or str(home() / "images")


def _take_value(arguments: list[str], flag: str) -> tuple[str | None, list[str]]:
    if flag not in arguments:
        return None, arguments
    at = arguments.index(flag)
    if at + 1 >= len(arguments):
        raise ConfigError(f"{flag} wants a file name after it")
    return arguments[at + 1], arguments[:at] + arguments[at + 2 :]


def _refuse_unknown_environment(model: type[ProcessSettings]) -> None:
    prefix = str(model.model_config.get("env_prefix", "")).upper()
    if not prefix:
        return
    for name in os.environ:
        field = name.upper().removeprefix(prefix).split("__")[0].lower()
        if name.upper().startswith(prefix) and field not in model.model_fields:
            allowed = ", ".join(prefix + key.upper() for key in known_keys(model))
            raise ConfigError(f"environment variable {name}: unknown setting; allowed are {allowed}")


def _refuse(program: str, message: str) -> NoReturn:
    print(mask(f"{program}: the configuration cannot be used\n{message}"), file=sys.stderr)
    raise SystemExit(2)

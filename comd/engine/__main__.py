"""`python -m comd.engine --model DIR`: the embedded engine as a process."""

import os

from comd.engine.app import EngineSettings, create_engine_app
from shared import logs
from shared.errors import ConfigError
from shared.keys import Keys, load_keys
from shared.service import serve
from shared.settings import load


def run(settings: EngineSettings) -> None:
    """Serve until SIGINT or SIGTERM."""
    logs.configure("engine")
    serve(create_engine_app(settings, _keys(settings.api_key_env)), settings.host, settings.port)


def _keys(variable: str | None) -> Keys:
    if variable is None:
        return load_keys()
    if not (key := os.environ.get(variable)):
        raise ConfigError(f"the engine's key is to come from {variable}, which is not set in the environment")
    return Keys(api=key, internal=key)


if __name__ == "__main__":
    run(load(EngineSettings, program="engine"))

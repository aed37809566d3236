"""What is told by an environment variable, or by a file that `<VARIABLE>_FILE` names.

The file is how containers are given secrets: it shows neither in their configuration nor in a list of processes.
"""

import os
from pathlib import Path

from shared.errors import ConfigError


def told(variable: str) -> str | None:
    """The value; None where neither is set. ConfigError where the file cannot be read.

    An empty variable leaves the word to the file: Compose sets it, empty, where the user does not.
    """
    value, path = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if value or path is None:
        return value
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{variable}_FILE: expected a readable text file at {path}, got: {error}"
        ) from error

"""Makes `comd.client.sync` from `comd.client.aio`: `python comd/client/unasync.py`. Needs ruff, as developers have it.

In: the asynchronous modules. Out: the same without `async`, `await` and the names that go with them.
"""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "aio"
TARGET = Path(__file__).parent / "sync"
HEAD = "# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.\n"
NAMES = {
    "asyncio.sleep": "time.sleep",
    "import asyncio": "import time",
    "Awaitable[None]": "None",
    "asynccontextmanager": "contextmanager",
    "AsyncIterator": "Iterator",
    "AsyncBaseTransport": "BaseTransport",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "comd.client.aio": "comd.client.sync",
}
TIDY = "I,F401,UP028,SIM117"  # what is out of order without `async`
PATTERN = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in NAMES))


def made(source: str) -> str:
    """The synchronous module."""
    text = re.sub(r"\basync (?=def|with|for)|\bawait ", "", source)
    text = PATTERN.sub(lambda found: NAMES[found[0]], text)
    text = re.sub(r"\bAsync(?=[A-Z])", "", text)
    return _ruff(_ruff(HEAD + text, "check", "--fix-only", "--unsafe-fixes", "--select", TIDY), "format")


def _ruff(text: str, *words: str) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        *words,
        "--quiet",
        "--stdin-filename",
        str(TARGET / "made.py"),
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def modules() -> dict[Path, str]:
    """The files of the synchronous package and what is to be in them."""
    return {
        TARGET / file.name: made(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.glob("*.py"))
    }


if __name__ == "__main__":
    for path, content in modules().items():
        path.write_text(content, encoding="utf-8")

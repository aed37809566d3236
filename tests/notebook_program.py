"""Runs a notebook: `python tests/notebook_program.py FILE FOLDER`. In: the file, the folder that it runs in.

Out: the file with its outputs. A program of its own, because what talks to kernels stays loaded, and should not meet
the threads of other tests.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(file: Path, folder: str) -> None:
    """Raises where a cell does."""
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}}).execute()
    nbformat.write(notebook, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

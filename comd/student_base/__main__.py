"""`python -m comd.student_base --out DIR --seed N`: writes the demo student's base model to DIR."""

import argparse
from pathlib import Path

from comd.student_base import make


def main(arguments: list[str] | None = None) -> None:
    """Makes the model and says where it is."""
    parser = argparse.ArgumentParser(prog="python -m comd.student_base", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    make(options.out, options.seed)
    print(f"wrote the student's base model to {options.out}")


if __name__ == "__main__":
    main()

"""`python -m comd.compose.student`: the demo's student before its training, made once, where the trainer finds it."""

import time

from comd.compose.demo import ROOT, SEED
from comd.demo.folder import DemoFolder
from comd.demo.make import student_in_the_making


def main() -> None:
    folder = DemoFolder(SEED, ROOT)
    with student_in_the_making(folder) as is_made:
        while not is_made():
            time.sleep(0.2)
    print(f"The demo's student is in {folder.student}.")


if __name__ == "__main__":
    main()

"""The CPU seconds of a command and of all that it starts: `python -m benchmarks.system.counted COMMAND ...`.

Out: user and system seconds as the last line on stdout, when the last of its processes has ended. Linux only.
"""

import ctypes
import os
import resource
import subprocess
import sys
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> None:
    # what the command leaves behind becomes our child, so that its time is counted when it ends
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    done = subprocess.run(command, stdout=sys.stderr)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m services.trainer.training.rank PLAN`: a rank as a fresh process, under torchrun or DeepSpeed's launcher.

It ends with its launcher and, on the trainer's own machine, with the trainer, however these end.
"""

import json
import os
import sys
from pathlib import Path

from services.trainer.launch.tied import die_with_parent, end_with

SERVICE_PID, SERVICE_HOST = "COMD_TRAINER_PID", "COMD_TRAINER_HOST"


def main() -> None:
    die_with_parent(os.getppid())
    if os.environ.get(SERVICE_HOST) == os.uname().nodename:
        end_with(int(os.environ[SERVICE_PID]))
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    plan = json.loads(Path(sys.argv[-1]).read_text())
    from services.trainer.training import program  # seconds of imports

    program.main(plan)


if __name__ == "__main__":
    main()

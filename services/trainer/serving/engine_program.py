"""The student's engine as a forked process. In: EngineSettings as a dict. Runs until it is killed."""

from typing import Any

from comd.engine.__main__ import run
from comd.engine.app import EngineSettings


def main(arguments: dict[str, Any]) -> None:
    run(EngineSettings(**arguments))

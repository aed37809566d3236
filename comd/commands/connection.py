"""Where the coordinator is and with which key: `COMD_URL`, and the key of this machine's stack."""

import os

from comd.client import Coordinator
from shared.keys import load_keys


def connect() -> Coordinator:
    return Coordinator(os.environ.get("COMD_URL") or "http://127.0.0.1:8100", load_keys().api)

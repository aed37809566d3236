"""Names a machine, for baselines: what was measured on one says little of another."""

import platform
import re
from pathlib import Path


def cpu_name() -> str:
    """The processor's model in a form fit for a file name."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", path.read_text()) if path.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

"""The peak memory of processes by name. In: pids. Out: mebibytes; shared pages of Postgres are counted once."""

import threading
from collections.abc import Mapping

import psutil

LOOK_S = 0.5


class Memory:
    """Looks twice a second while the context lasts."""

    def __init__(self, pids: Mapping[str, int]):
        self.peaks_mib: dict[str, int] = {}
        self._pids = dict(pids)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def take(self) -> dict[str, int]:
        """The peaks since the last take."""
        taken, self.peaks_mib = self.peaks_mib, {}
        return taken

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            for name, pid in self._pids.items():
                used = _mib(pid, with_children=name == "postgres")
                self.peaks_mib[name] = max(used, self.peaks_mib.get(name, 0))


def _mib(pid: int, with_children: bool) -> int:
    try:
        process = psutil.Process(pid)
        if not with_children:
            return int(process.memory_info().rss) >> 20
        return sum(_pss(one) for one in [process, *process.children(recursive=True)]) >> 20
    except psutil.NoSuchProcess:
        return 0


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0

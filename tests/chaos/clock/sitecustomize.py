"""On a process's PYTHONPATH: its time of day is COMD_CLOCK_OFF_S seconds off. Intervals stay true."""

import datetime
import os
import time

_OFF_S = float(os.environ["COMD_CLOCK_OFF_S"])
_time, _time_ns = time.time, time.time_ns


class _OffDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_OffDatetime":
        return super().now(tz) + datetime.timedelta(seconds=_OFF_S)


time.time = lambda: _time() + _OFF_S
time.time_ns = lambda: _time_ns() + int(_OFF_S * 1e9)
datetime.datetime = _OffDatetime  # type: ignore[misc]

"""Whether and when a child that ended is started again. Pure.

In: how each of its lives ended. Out: the seconds until the next start, or None: it has never lasted, and is given up.
"""

import signal
from dataclasses import dataclass

LASTING_S = 10.0  # who has lived so long is set up rightly, and is started again whatever happens to it
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
TRIES = 5
KILLED = (-signal.SIGKILL, -signal.SIGTERM)  # by somebody else: no fault of the child


@dataclass
class Restarts:
    """One child's ends so far."""

    num_short: int = 0  # lives in a row that ended early and by themselves
    has_lasted: bool = False

    def pause_after(self, lived_s: float, exit_status: int) -> float | None:
        """The pause doubles with every short life; Postgres needs some until the killed one's children are gone."""
        if lived_s >= LASTING_S:
            self.num_short, self.has_lasted = 0, True
        elif exit_status not in KILLED:
            self.num_short += 1
        if self.num_short >= TRIES and not self.has_lasted:
            return None
        return min(FIRST_PAUSE_S * 2.0 ** max(0, self.num_short - 1), LONGEST_PAUSE_S)

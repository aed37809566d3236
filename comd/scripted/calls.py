"""Counts the calls that the engine got, by role, and how many were repeats of an earlier one."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallCounts:
    """What `GET /scripted/calls` shows."""

    by_role: Counter[str] = field(default_factory=Counter)
    repeats_by_role: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    faults_by_role: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)

    def note(self, digest: bytes, role: str) -> None:
        """Counts one request."""
        self.by_role[role] += 1
        if digest in self._seen:
            self.repeats_by_role[role] += 1
        self._seen.add(digest)

    def note_fault(self, kind: str, role: str) -> None:
        """Counts one request that met a fault; by role only those that keep it from a sound reply."""
        self.faults[kind] += 1
        if kind != "slow":
            self.faults_by_role[role] += 1

    def as_json(self) -> dict[str, object]:
        """Totals first."""
        return {
            "total": self.by_role.total(),
            "repeated": self.repeats_by_role.total(),
            "by_role": dict(self.by_role),
            "repeated_by_role": dict(self.repeats_by_role),
            "faults": dict(self.faults),
            "faults_by_role": dict(self.faults_by_role),
        }

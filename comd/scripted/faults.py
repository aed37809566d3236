"""Faults on command: which request meets which fault.

In: rules (by command line or POST) or a request's own header, and the digest of a request. Out: a Fault or None.
"""

from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

import orjson

from comd.scripted.asking import ROLES, Role
from comd.scripted.errors import ApiError

KINDS = ("slow", "hang", "429", "500", "503", "cut", "trickle", "garbage", "gibberish", "reset")
"""cut: the connection ends half-way through the body; trickle: the body comes in drops over `seconds`; garbage: a
body that is not JSON; gibberish: a sound reply that makes no sense; reset: the connection is dropped without a reply.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `rate` is the share of requests that meet it; `once` lets a repeat of the request pass."""

    kind: str
    rate: float = 1.0
    seconds: float = 2.0
    retry_after: float = 1.0
    role: Role | None = None
    once: bool = False


def fault_from(item: Any) -> Fault:
    """A rule from JSON; ApiError that names what is wrong."""
    known = {field.name for field in fields(Fault)}
    if isinstance(item, dict) and isinstance(item.get("kind"), int):
        item = {**item, "kind": str(item["kind"])}
    if not isinstance(item, dict) or item.get("kind") not in KINDS:
        raise ApiError(400, f"a fault is an object whose kind is one of {', '.join(KINDS)}", "invalid_fault")
    if unknown := set(item) - known:
        message = f"unknown fault keys {sorted(unknown)}; allowed are {sorted(known)}"
        raise ApiError(400, message, "invalid_fault")
    if item.get("role") not in (None, *ROLES):
        raise ApiError(400, f"a fault's role is one of {', '.join(ROLES)}", "invalid_fault")
    return Fault(**item)


def parse_rules(text: str | bytes) -> tuple[Fault, ...]:
    """Rules from a JSON list."""
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"fault rules must be JSON: {error}", "invalid_fault") from error
    if not isinstance(items, list):
        raise ApiError(400, "fault rules must be a JSON list", "invalid_fault")
    return tuple(fault_from(item) for item in items)


@dataclass(slots=True)
class FaultPlan:
    """The rules in force, and which requests have already met a rule that strikes once."""

    rules: tuple[Fault, ...] = ()
    _struck: set[bytes] = field(default_factory=set)

    def replace(self, rules: tuple[Fault, ...]) -> None:
        """Puts other rules in force and forgets whom the old ones struck."""
        self.rules = rules
        self._struck.clear()

    def fault_for(self, digest: bytes, role: Role) -> Fault | None:
        """The first rule that strikes this request, chosen by a hash and never by chance or order."""
        for number, rule in enumerate(self.rules):
            if rule.role not in (None, role):
                continue
            mark = sha256(b"%d|" % number + digest).digest()
            if int.from_bytes(mark[:8], "big") >= rule.rate * 2**64:
                continue
            if rule.once:
                if mark in self._struck:
                    continue
                self._struck.add(mark)
            return rule
        return None

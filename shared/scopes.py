"""What a key allows: read < run < admin. Light: clients import it, too."""

from dataclasses import dataclass
from typing import Literal

KeyScope = Literal["read", "run", "admin"]
SCOPES: tuple[KeyScope, ...] = ("read", "run", "admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """A key's name and scope; `internal` for our own services, which no limit holds up."""

    name: str
    scope: KeyScope
    internal: bool = False

    def may(self, wanted: KeyScope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(wanted)

"""Competitive multi-modal distillation. `comd.Client` and `comd.AsyncClient` speak to a running coordinator."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comd.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """The client is imported when it is asked for: `import comd` costs nothing."""
    if name in __all__:
        from comd import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

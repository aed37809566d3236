"""Queries on bearer keys; only their hashes are ever stored."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, fetch_one
from shared.types import JsonObject

SHOWN = "name, scope, created_at, last_used_at, revoked_at"


async def add(c: AsyncConnection, name: str, scope: str, sha256: str) -> JsonObject | None:
    """The new key as it is shown, or None where the name is taken."""
    return await fetch_one(
        c,
        f"""
        INSERT INTO api_keys (name, scope, sha256) VALUES (:name, :scope, :sha256)
        ON CONFLICT DO NOTHING RETURNING {SHOWN}
        """,
        name=name,
        scope=scope,
        sha256=sha256,
    )


async def everything(c: AsyncConnection) -> list[JsonObject]:
    """All keys, revoked ones too, the newest first."""
    return await fetch(c, f"SELECT {SHOWN} FROM api_keys ORDER BY created_at DESC, name")


async def valid(c: AsyncConnection) -> list[JsonObject]:
    """Name, scope and hash of those that open something."""
    return await fetch(c, "SELECT name, scope, sha256 FROM api_keys WHERE revoked_at IS NULL")


async def revoke(c: AsyncConnection, name: str) -> JsonObject | None:
    """The key, revoked now or before; None where there is none of the name."""
    return await fetch_one(
        c,
        f"""
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE name = :name RETURNING {SHOWN}
        """,
        name=name,
    )


async def note_use(c: AsyncConnection, names: Sequence[str]) -> None:
    """That these were used; to the minute, so that a busy key does not cost a write a request."""
    await execute(
        c,
        """
        UPDATE api_keys SET last_used_at = now()
        WHERE name = ANY(:names) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        """,
        names=list(names),
    )

"""What one call used, read from an OpenAI-compatible reply."""

from shared.types import JsonObject, Usage


def usage_of(reply: JsonObject, seconds: float = 0.0) -> Usage:
    """The tokens of one call, as the engine counted them; 0 where it does not say."""
    usage = reply.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        calls=1,
        seconds=seconds,
    )

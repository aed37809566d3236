"""New weights for a running vLLM, by its development routes. In: a connection. Out: seconds by step.

Measured against vLLM 0.32: `reload_weights` reads from the path that it was started with, through our link.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from services.trainer.serving.engine import Swap
from services.trainer.serving.wire import Wire
from shared.errors import EngineUnavailable

# Level 2 throws the weights away: the next ones come from a new checkpoint anyway.
DISCARD, PAUSE = 2, 0


async def sleep(wire: Wire) -> Swap:
    """Give back the devices' memory; running answers are aborted. A sleeping vLLM lets requests hang."""
    return {"sleep_s": await _post(wire, "/sleep", {"level": DISCARD, "mode": "abort"})}


async def reload(wire: Wire, asleep: bool) -> Swap:
    """Read the weights again, and forget what was computed with the old ones."""
    woken = 0.0
    if asleep:
        woken += await _post(wire, "/wake_up", {"tags": "weights"})
    else:  # no answer may be computed with half of the old weights
        await _post(wire, "/sleep", {"level": PAUSE, "mode": "abort"})
    reloaded = await _post(wire, "/collective_rpc", body={"method": "reload_weights"})
    woken += await _post(wire, "/wake_up", {"tags": "kv_cache" if asleep else "scheduling"})
    for cache in ("prefix", "mm", "encoder"):
        reloaded += await _post(wire, f"/reset_{cache}_cache")
    return {"reload_s": round(reloaded, 3), "wake_s": round(woken, 3)}


async def _post(wire: Wire, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> float:
    started = time.perf_counter()
    whole = f"{path}?{urlencode(query)}" if query else path
    answer = await wire.request("POST", whole, b"" if body is None else orjson.dumps(body))
    if answer.status != 200 or answer.body == b'{"success":false}':
        said = answer.body[:300].decode(errors="replace")
        raise EngineUnavailable(f"vLLM answered {whole} with {answer.status}: {said}")
    return round(time.perf_counter() - started, 3)

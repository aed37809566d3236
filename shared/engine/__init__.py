"""The client of OpenAI-compatible engines, and the gate through which a role service uses one.

In: an EngineSpec and a request. Out: the engine's reply as it came, or one of the errors of `shared.errors`:
EngineUnavailable (wait and ask again), EngineReplyError (not the protocol), BadRequest (this request is refused).
"""

from shared.engine.allowed import check_allowed
from shared.engine.calls import Answered, EngineCalls
from shared.engine.client import Notice, Notices, chat, is_well, models, timed_chat
from shared.engine.pool import pooled_client
from shared.engine.replies import text_of
from shared.engine.state import state_of
from shared.engine.streaming import error_event, stream

__all__ = [
    "Answered",
    "EngineCalls",
    "Notice",
    "Notices",
    "chat",
    "check_allowed",
    "error_event",
    "is_well",
    "models",
    "pooled_client",
    "state_of",
    "stream",
    "text_of",
    "timed_chat",
]

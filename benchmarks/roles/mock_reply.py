"""What the mock engines answer, in bytes."""

import json

from benchmarks.roles.asked import MODEL

TEXT = json.dumps({"evidence": "The umbrella is in the hand.", "score_1": 8, "score_2": 6})
CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 640, "completion_tokens": 32, "total_tokens": 672}
COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [CHOICE],
        "usage": USAGE,
    }
).encode()
MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "root": MODEL}]}).encode()

"""A judge that quotes both answers word for word before it scores them, in the form that it is told to.

In: the assessor's own prompts, over the real protocol. Out: 9 for the answer that is `GOOD`, 2 for any other.
"""

import json
import re
from typing import Any, Literal

from fastapi import FastAPI, Request

from shared.types import JsonObject

GOOD = "A cup of tea on a wooden desk."
MODEL = "echo"
Voice = Literal["json", "json unescaped", "lines"]


def read_fence(variable: str) -> dict[str, str]:
    """The three texts in the variable part: what stands between the lines with the first line's mark."""
    opening = re.match(r"\[question ([0-9a-f]+)\]\n", variable)
    assert opening, variable[:80]
    found, at = {}, 0
    for label in ("question", "answer 1", "answer 2"):
        begins = f"[{label} {opening[1]}]\n"
        ends = re.compile(
            rf"\n\[end of {label} {opening[1]}(?:, empty|, cut after [0-9]+ of [0-9]+ characters)?\]\n\n"
        )
        assert variable.startswith(begins, at), variable[at : at + 80]
        closing = ends.search(variable, at)
        assert closing
        found[label] = variable[at + len(begins) : closing.start()]
        at = closing.end()
    return found


def create_echo_judge(voice: Voice) -> FastAPI:
    """The judge's app."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> JsonObject:
        return {"data": [{"id": MODEL}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JsonObject:
        body = await request.json()
        assert ("response_format" in body) == (voice != "lines")
        said = _verdict(read_fence(body["messages"][-1]["content"][-1]["text"]), voice)
        return {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": {}}

    return app


def _verdict(texts: dict[str, str], voice: Voice) -> str:
    one, two = (texts[f"answer {place}"] for place in (1, 2))
    scores: list[Any] = [9 if answer == GOOD else 2 for answer in (one, two)]
    evidence = f"The first says: {one}\nThe second says: {two}\nThat is all."
    if voice == "json":
        return json.dumps({"evidence": evidence, "score_1": scores[0], "score_2": scores[1]})
    if voice == "json unescaped":
        evidence = f"The first says: {one} The second says: {two} That is all."
        return f'{{"evidence": "{evidence}", "score_1": {scores[0]}, "score_2": {scores[1]}}}'
    return f"Evidence: {evidence}\nScore 1: {scores[0]}\nScore 2: {scores[1]}"

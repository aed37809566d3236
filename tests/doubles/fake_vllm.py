"""A program in the place of the python that has vLLM: speaks its HTTP protocol on a unix socket.

Its model's weights are a text: what it answers, a bar, the log-probability of each token (a character). What
goes wrong is told by `VLLM_FAKE_FAULT`, the machine by `VLLM_FAKE_DEVICE`; `requests.txt` beside the model
lists what was asked. It starts a process in a session of its own, as vLLM does, that would outlive it.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from aiohttp import web

FAULT = os.environ.get("VLLM_FAKE_FAULT", "")
DEVICE = os.environ.get("VLLM_FAKE_DEVICE", "cpu")


class FakeVllm:
    def __init__(self, model: Path):
        self.model, self.asked = model, model.parent / "requests.txt"
        self.weights: str | None = self.read()
        self.paused = False
        self.slept = 0

    def read(self) -> str:
        return (self.model / "model.safetensors").read_text()

    def note(self, line: str) -> None:
        with self.asked.open("a") as file:
            file.write(line + "\n")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.note("chat " + json.dumps(body))
        while self.paused:  # the real one lets requests wait as well
            await asyncio.sleep(0.01)
        slept = self.slept
        await asyncio.sleep(0.2 if body.get("user") == "slow" else 0)
        text, _, logprob = (self.weights or "garbage|0").partition("|")
        shown = text[: body["max_tokens"]]
        ended = len(shown) == len(text) < body["max_tokens"]
        head = {"id": "1", "model": body["model"]}
        if body.get("stream"):
            reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await reply.prepare(request)
            for character in shown:
                line = json.dumps(
                    {**head, "choices": [{"delta": {"content": character}}]}, separators=(",", ":")
                )
                await reply.write(f"data: {line[:5]}".encode())
                await reply.write(f"{line[5:]}\n\n".encode())
            await reply.write(b"data: [DONE]\n\n")
            return reply
        tokens = [{"token": character, "logprob": float(logprob)} for character in shown]
        choice = {
            "message": {"role": "assistant", "content": shown},
            "finish_reason": "abort" if slept != self.slept else "stop" if ended else "length",
            "logprobs": {"content": tokens} if body.get("logprobs") else None,
        }
        whole = json.dumps({**head, "choices": [choice]}, separators=(",", ":"))
        return web.Response(text=whole, content_type="application/json")

    async def control(self, request: web.Request) -> web.Response:
        path = request.path_qs
        self.note(path + " " + await request.text())
        if path.startswith("/sleep"):
            self.paused, self.slept = True, self.slept + 1
            self.weights = None if "level=2" in path else self.weights
        elif path.startswith("/wake_up"):
            self.paused = "tags=weights" in path
        elif path == "/collective_rpc":
            if FAULT == "dies":
                os._exit(9)
            if FAULT != "stale" or self.weights is None:
                self.weights = self.read()
        return web.json_response({"success": True})


def main(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        print(json.dumps({"device": DEVICE, "sleep": DEVICE == "cuda"}))
        return
    flags = dict(zip(arguments[2::2], arguments[3::2], strict=False))
    if FAULT == "refuses":
        raise SystemExit("this model is not supported")
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    fake = FakeVllm(Path(flags["--model"]))
    fake.note("started " + json.dumps({"flags": arguments, "environment": sorted(os.environ)}))
    app = web.Application()
    app.router.add_get("/health", lambda _: _ok())
    app.router.add_post("/v1/chat/completions", fake.chat)
    app.router.add_post("/{route:.*}", fake.control)
    web.run_app(app, path=flags["--uds"], print=None)


async def _ok() -> web.Response:
    return web.Response()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A mock engine over HTTP: so many slots, a FIFO queue beyond them, log-normal latencies; it never refuses.

`python -m benchmarks.slotted_engine --port N --slots 32 --median 2 --sigma 0.8`. `POST /slots` changes their number in
mid-run, `GET /seconds` says for how long slots were busy and calls waited, in call-seconds.
"""

import argparse
import asyncio
import random
import time
from collections import deque

from aiohttp import web

from benchmarks.roles.mock_reply import COMPLETION


class Slots:
    """The engine's state, and integrals over time of its busy slots and its queue."""

    def __init__(self, slots: int, median_s: float, sigma: float, seed: int):
        self.slots, self.median_s, self.sigma = slots, median_s, sigma
        self.chance = random.Random(seed)
        self.running, self.done = 0, 0
        self.queue: deque[asyncio.Future[None]] = deque()
        self.busy_s, self.waiting_s, self._since = 0.0, 0.0, time.monotonic()

    def settle(self) -> None:
        """Bring the integrals up to now."""
        now = time.monotonic()
        self.busy_s += self.running * (now - self._since)
        self.waiting_s += len(self.queue) * (now - self._since)
        self._since = now

    def start_next(self) -> None:
        self.settle()
        while self.queue and self.running < self.slots:
            begins = self.queue.popleft()
            if not begins.done():
                begins.set_result(None)
                self.running += 1

    async def chat(self, request: web.Request) -> web.Response:
        await request.read()
        begins = asyncio.get_running_loop().create_future()
        self.settle()
        self.queue.append(begins)
        self.start_next()
        await begins
        try:
            await asyncio.sleep(self.median_s * self.chance.lognormvariate(0.0, self.sigma))
        finally:
            self.settle()
            self.running -= 1
            self.done += 1
            self.start_next()
        return web.Response(body=COMPLETION, content_type="application/json")

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "mock"}]})

    async def metrics(self, _: web.Request) -> web.Response:
        """vLLM's name for its queue, for a role service that is told to read it."""
        return web.Response(text=f'vllm:num_requests_waiting{{model_name="mock"}} {len(self.queue)}\n')

    async def resize(self, request: web.Request) -> web.Response:
        self.slots = int((await request.json())["slots"])
        self.start_next()
        return await self.seconds(request)

    async def seconds(self, _: web.Request) -> web.Response:
        self.settle()
        read = {"busy_s": self.busy_s, "waiting_s": self.waiting_s, "done": self.done}
        return web.json_response({**read, "at": time.monotonic(), "waiting": len(self.queue)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--median", type=float, default=2.0)
    parser.add_argument("--sigma", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--silent", action="store_true", help="does not say how many wait")
    given = parser.parse_args()
    slots = Slots(given.slots, given.median, given.sigma, given.seed)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", slots.chat)
    app.router.add_get("/v1/models", slots.models)
    app.router.add_post("/slots", slots.resize)
    if not given.silent:
        app.router.add_get("/metrics", slots.metrics)
    app.router.add_get("/seconds", slots.seconds)
    web.run_app(app, host="127.0.0.1", port=given.port, print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()

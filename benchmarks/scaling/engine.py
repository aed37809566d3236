"""Engines that answer at once, for the least CPU, one port a role: `python -m benchmarks.scaling.engine`.

Out: the ports of teacher, assessor, augmentor as a line on stdout, then OpenAI's chat completions over HTTP/1.1.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import cast

import uvloop

from benchmarks.scaling import instant

MODEL = "instant"
MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "root": MODEL}]}).encode()
TEXTS: tuple[Callable[[], str], ...] = (lambda: instant.ANSWER, instant.judgement, instant.question)
HEAD_ENDS = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def completion(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 640, "completion_tokens": 32, "total_tokens": 672}
    told = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps({**told, "choices": [choice], "usage": usage}).encode()


class Connection(asyncio.Protocol):
    """One request after the other; a body is counted, not read."""

    def __init__(self, text: Callable[[], str]):
        self.text = text
        self.head, self.missing, self.asked = b"", 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        if not self.asked:
            self.head += data
            head, ends, rest = self.head.partition(HEAD_ENDS)
            if not ends:
                return
            found = LENGTH.search(head)
            self.missing, self.asked = (int(found[1]) if found else 0) - len(rest), True
        else:
            self.missing -= len(data)
        if self.missing <= 0:
            body = completion(self.text()) if self.head.startswith(b"POST") else MODELS
            self.transport.write(
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            self.head, self.asked = b"", False


async def main() -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda text=text: Connection(text), "127.0.0.1", 0)  # type: ignore[misc]
        for text in TEXTS
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())

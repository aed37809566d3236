"""An engine that answers at once and always the same, for the least CPU: `python -m benchmarks.roles.mock_engine`.

Out: its port as a line on stdout, then HTTP/1.1 with keep-alive: a chat completion for a POST, else the models.
The answer's text is a verdict too, so that one engine does for teacher and assessor.
"""

import asyncio
import re
from typing import cast

import uvloop

from benchmarks.roles.mock_reply import COMPLETION, MODELS

HEAD_ENDS = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request after the other; a body is counted, not read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.head, self.missing, self.reply = b"", 0, b""

    def data_received(self, data: bytes) -> None:
        if not self.reply:
            self.head += data
            head, ends, rest = self.head.partition(HEAD_ENDS)
            if not ends:
                return
            found = LENGTH.search(head)
            self.missing = (int(found[1]) if found else 0) - len(rest)
            self.reply = response(COMPLETION if head.startswith(b"POST") else MODELS)
        else:
            self.missing -= len(data)
        if self.missing <= 0:
            self.transport.write(self.reply)
            self.head, self.reply = b"", b""


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

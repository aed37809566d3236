"""The mock engine by HTTP/2 without TLS: `python -m benchmarks.roles.http2_engine`, where h2 is installed.

Out: its port as a line on stdout, then the answers of `mock_reply`. It grants windows in which all of 32 pictures
find room: with the protocol's 64 KB httpx's calls stop each other for good, and there is nothing to measure.
"""

import asyncio
from typing import cast

import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes

from benchmarks.roles.mock_reply import COMPLETION, MODELS

WINDOW = 2**24


class Connection(asyncio.Protocol):
    """All requests of one client; bodies are counted, not read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.http2 = H2Connection(H2Configuration(client_side=False))
        self.http2.initiate_connection()
        self.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        self.http2.increment_flow_control_window(WINDOW)
        self.replies: dict[int, bytes] = {}
        self.transport.write(self.http2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.http2.receive_data(data):
            if isinstance(event, RequestReceived):
                is_post = (b":method", b"POST") in event.headers
                self.replies[event.stream_id] = COMPLETION if is_post else MODELS
            elif isinstance(event, DataReceived):
                self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id)
        self.transport.write(self.http2.data_to_send())

    def answer(self, stream: int) -> None:
        headers = [(":status", "200"), ("content-type", "application/json")]
        self.http2.send_headers(stream, headers)
        self.http2.send_data(stream, self.replies.pop(stream), end_stream=True)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

"""The coordinator from Python. In: its URL and a key. Out: its answers as the models that its REST API declares.

`Client` waits for each answer; `AsyncClient` has the same methods to be awaited.
"""

from comd.client.aio.client import AsyncClient
from comd.client.errors import StillRunning
from comd.client.exported import Exported
from comd.client.sync.client import Client

__all__ = ["AsyncClient", "Client", "Exported", "StillRunning"]

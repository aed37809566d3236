"""Says before anything starts which ports are taken, and by whom."""

import socket

from comd.stack.settings import PORT_OFFSETS, StackSettings
from shared.errors import Conflict


def check_free(settings: StackSettings) -> None:
    """Conflict naming every port of the stack that somebody else listens on."""
    ours = [name for name in PORT_OFFSETS if name not in settings.elsewhere()]
    taken = [f"{settings.port(name)} ({name})" for name in ours if is_taken(settings.port(name))]
    if taken:
        raise Conflict(
            f"port in use: {', '.join(taken)}. Is another stack running? "
            "Stop it, or choose other ports with --base-port"
        )


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False

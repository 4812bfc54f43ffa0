"""A port for a server that a test or benchmark starts."""

import socket


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

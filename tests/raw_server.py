"""A server of raw bytes: it answers what no HTTP library would write."""

import contextlib
import socket
import threading
import time
import typing


@contextlib.contextmanager
def raw_server(head: bytes, piece: bytes = b"", pause_s: float = 0.0) -> typing.Iterator[str]:
    """Gives the URL of a server that sends the head, then the piece over and over; with no piece it closes.

    Args:
        head, piece: what is sent to each connection, whatever it asks for.
        pause_s: after each piece.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopping = threading.Event()
        threading.Thread(target=_accept, args=(listening, head, piece, pause_s, stopping), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a"
        stopping.set()
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, *answer: typing.Any) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, *answer), daemon=True).start()


def _answer(connection: socket.socket, head: bytes, piece: bytes, pause_s: float, stopping: threading.Event) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(1 << 16)
        connection.sendall(head)
        while piece and not stopping.is_set():
            connection.sendall(piece)
            time.sleep(pause_s)

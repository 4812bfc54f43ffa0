"""A stand-in for the public mirror: serves a folder from 127.0.0.1 for as long as it is needed."""

import contextlib
import functools
import http.server
import pathlib
import threading
import typing


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Says nothing."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> typing.Iterator[str]:
    """Serves a folder for the length of a ``with`` block; yields its URL, without a slash at the end."""
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

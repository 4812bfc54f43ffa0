"""A real HTTP server on 127.0.0.1 that misbehaves on demand."""

import collections
import dataclasses
import http.server
import socket
import struct
import threading
import typing

BODY = bytes(range(256)) * 40


@dataclasses.dataclass
class Answer:
    """What a path answers.

    Attributes:
        status, headers, body: of the answer.
        announced_bytes: the Content-Length, if it is to differ from the body's.
        fault: ``drip`` (a byte each 50 ms), ``reset`` (before the status line), ``stall`` (no answer at all),
            ``chunked`` (no Content-Length), ``garbage`` (no HTTP), or '' for none.
        failures_first: how many requests get ``failing`` before this answer.
        failing: the answer until then.
    """

    body: bytes = BODY
    status: int = 200
    headers: dict[str, str] | list[tuple[str, str]] = dataclasses.field(default_factory=dict)
    announced_bytes: int | None = None
    fault: str = ""
    failures_first: int = 0
    failing: typing.Optional["Answer"] = None


class FaultServer:
    """Serves ``answers`` by path, 404 for the rest; records what was asked.

    Attributes:
        url: root, without a slash at its end.
        answers: path to answer; change it at any time.
        asked: paths in order of arrival, ``/robots.txt`` left out.
        robots_asked: how often that was asked for.
        connections: how many were opened.
        headers: the headers of each request, likewise.
        delay_s: how long every answer takes.
    """

    def __init__(self, answers: dict[str, Answer] | None = None):
        self.answers = answers or {}
        self.asked: list[str] = []
        self.robots_asked = 0
        self.connections = 0
        self.delay_s = 0.0
        self.headers: list[dict[str, str]] = []
        self.stopping = threading.Event()
        self._counts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.faults = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer_for(self, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            if path == "/robots.txt":
                self.robots_asked += 1
                return self.answers.get(path, Answer(b"", 404))
            self.asked.append(path)
            self.headers.append(headers)
            self._counts[path] += 1
            answer = self.answers.get(path, Answer(b"", 404))
            if answer.failing and self._counts[path] <= answer.failures_first:
                return answer.failing
            return answer

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "FaultServer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False
    faults: FaultServer

    def get_request(self) -> typing.Any:
        self.faults.connections += 1
        return super().get_request()

    def handle_error(self, request: typing.Any, client_address: typing.Any) -> None:
        """Says nothing of clients that hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        answer = self.server.faults.answer_for(self.path, dict(self.headers))
        self.server.faults.stopping.wait(self.server.faults.delay_s)
        fault = getattr(self, f"_{answer.fault}", None)
        if fault:
            self.close_connection = True
            fault(answer)
            return
        self._head(answer)
        self.wfile.write(answer.body)
        self.close_connection = answer.announced_bytes is not None

    def _head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = answer.headers.items() if isinstance(answer.headers, dict) else answer.headers
        for name, value in headers:
            self.send_header(name, value)
        if answer.fault != "chunked":
            length = len(answer.body) if answer.announced_bytes is None else answer.announced_bytes
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _drip(self, answer: Answer) -> None:
        self._head(answer)
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.faults.stopping.wait(0.05):
                return

    def _reset(self, answer: Answer) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _stall(self, answer: Answer) -> None:
        self.server.faults.stopping.wait(30)

    def _chunked(self, answer: Answer) -> None:
        self._head(answer)
        for at in range(0, len(answer.body), 1000):
            piece = answer.body[at : at + 1000]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _garbage(self, answer: Answer) -> None:
        self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Keeps the tests' output clean."""


def closed_port() -> int:
    """Returns a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

"""A real HTTP server on 127.0.0.1 with files as their publishers serve them: HEAD, ranges, ETags; cut on demand."""

import dataclasses
import http.server
import re
import threading
import typing


@dataclasses.dataclass
class Served:
    """A file.

    Attributes:
        body: of it.
        etag: '' for none.
        last_modified: '' for none.
        ranges: whether parts can be asked for.
        cuts: after how many bytes of the answer the connection ends, one for each next request.
        statuses: given to the next requests instead of the file.
        keeps_if_range: whether ``If-Range`` is heeded.
        announced_bytes: the Content-Length, if it is to differ from the body's.
        gate: an answer waits for it.
    """

    body: bytes
    etag: str = '"one"'
    last_modified: str = "Tue, 10 Jul 2018 12:00:00 GMT"
    ranges: bool = True
    cuts: list[int] = dataclasses.field(default_factory=list)
    statuses: list[int] = dataclasses.field(default_factory=list)
    keeps_if_range: bool = True
    announced_bytes: int | None = None
    gate: threading.Event | None = None


class Asked(typing.NamedTuple):
    """A request for a body."""

    path: str
    range: str
    if_range: str


class PublishedServer:
    """Serves ``files`` by path, 404 for the rest.

    Attributes:
        url: root, without a slash at its end.
        files: path to file; change it at any time.
        asked: requests for bodies, in order.
    """

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.published = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> "PublishedServer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    published: PublishedServer


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        file = self.server.published.files.get(self.path)
        self.send_response(200 if file else 404)
        self.send_header("Content-Length", str(len(file.body) if file else 0))
        self.end_headers()

    def do_GET(self) -> None:
        asked = Asked(self.path, self.headers.get("Range", ""), self.headers.get("If-Range", ""))
        self.server.published.asked.append(asked)
        file = self.server.published.files.get(self.path)
        if file is None or file.statuses:
            self.send_response(file.statuses.pop(0) if file else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if file.gate:
            file.gate.wait(20)
        begin = self._begin(file, asked)
        body = file.body[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(file.body) - 1}/{len(file.body)}")
        for name, value in (("ETag", file.etag), ("Last-Modified", file.last_modified)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if file.announced_bytes is None else file.announced_bytes))
        self.end_headers()
        self.wfile.write(body[: file.cuts.pop(0)] if file.cuts else body)

    def _begin(self, file: Served, asked: Asked) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", asked.range)
        unchanged = asked.if_range in ("", file.etag, file.last_modified) or not file.keeps_if_range
        return int(match[1]) if match and file.ranges and unchanged else 0

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Keeps the tests' output clean."""

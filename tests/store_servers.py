"""Object stores on 127.0.0.1: S3 by moto, which checks signatures, and Google's by its emulator; both keep a log."""

import base64
import http
import json
import socket
import threading
import typing
import urllib.request

import boto3
import gcp_storage_emulator.exceptions
import gcp_storage_emulator.handlers.objects
import gcp_storage_emulator.server
import moto.settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.free_port import free_port

_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_SLOW = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_MULTIPART = (
    b"--cut\r\nContent-Type: application/json\r\n\r\n%b\r\n"
    b"--cut\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n%b\r\n--cut--\r\n"
)


class Asked(typing.NamedTuple):
    """A request and its answer."""

    method: str
    path: str
    range: str
    is_signed: bool
    status: int
    body_bytes: int


class S3Server:
    """S3 as moto plays it, with one key that may do everything.

    Moto lets unsigned requests read whatever they like, so they are refused here, as S3 does, but for buckets that
    are public. That all signatures are right is moto's own check.

    Attributes:
        url: endpoint.
        public: names of buckets that anyone may read; add them before their objects.
        asked: requests since the last objects were put.
        key_id, secret: the key.
        fault: what happens to a request, by method and path: ``slow`` (503, SlowDown), ``cut`` (the connection
            breaks, and the request has no effect), ``short`` (it breaks in the middle of the answer's body), or '' for
            nothing.
        client: boto3's, with that key.
    """

    def __init__(self) -> None:
        self.public: set[str] = set()
        self.asked: list[Asked] = []
        self.fault: typing.Callable[[str, str], str] = lambda method, path: ""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._is_open = True
        self.key_id, self.secret = self._make_key()
        self._is_open = False
        self.client = boto3.client("s3", **self._reached_by(self.key_id, self.secret))

    def __enter__(self) -> "S3Server":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, bucket: str, files: typing.Mapping[str, bytes]) -> None:
        """Puts objects into a bucket, and makes it if it is not there."""
        acl = "public-read" if bucket in self.public else "private"
        self.client.create_bucket(Bucket=bucket)
        for key, body in files.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=body, ACL=acl)
        self.asked.clear()

    def _make_key(self) -> tuple[str, str]:
        iam = boto3.client("iam", **self._reached_by("none", "none"))
        iam.create_user(UserName="reader")
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(allowed))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def _reached_by(self, key_id: str, secret: str) -> dict[str, str]:
        where = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return where | {"aws_access_key_id": key_id, "aws_secret_access_key": secret}

    def _app(
        self, environ: dict[str, typing.Any], start_response: typing.Callable[..., typing.Any]
    ) -> typing.Iterable[bytes]:
        path, is_signed = environ["PATH_INFO"], "HTTP_AUTHORIZATION" in environ
        status = 0
        fault = self.fault(environ["REQUEST_METHOD"], path)
        if fault == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if fault in ("cut", "slow"):
            start_response("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(_SLOW)))])
            return [_SLOW]

        def begin(line: str, *rest: typing.Any) -> typing.Any:
            nonlocal status
            status = int(line.split()[0])
            return start_response(line, *rest)

        if is_signed or self._is_open or path.split("/")[1] in self.public:
            with self._one_at_a_time:
                checked = is_signed and not self._is_open
                moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0 if checked else float("inf")
                body = list(self._moto(environ, begin))
        else:
            begin("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))])
            body = [_DENIED]
        sent = sum(map(len, body))
        range_ = environ.get("HTTP_RANGE", "")
        self.asked.append(Asked(environ["REQUEST_METHOD"], path, range_, is_signed, status, sent))
        return _half(b"".join(body), environ["werkzeug.socket"]) if fault == "short" else body


def _half(body: bytes, connection: socket.socket) -> typing.Iterator[bytes]:
    yield body[: len(body) // 2]
    connection.shutdown(socket.SHUT_RDWR)


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: typing.Any) -> None:
        """Keeps the tests' output clean."""


class GcsServer:
    """Google's object store as its emulator plays it: everything is public.

    The emulator knows no preconditions on generations, so they are looked at here, as Google's store does.

    Attributes:
        url: endpoint, for ``STORAGE_EMULATOR_HOST``.
    """

    def __init__(self) -> None:
        port = free_port()
        self._one_at_a_time = threading.Lock()
        routes = next(routes for path, routes in gcp_storage_emulator.server.HANDLERS if "/upload/" in path)
        routes["POST"] = self._insert
        self._server = gcp_storage_emulator.server.create_server("127.0.0.1", port, in_memory=True)
        self._server.start()
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> "GcsServer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop()

    def put(self, bucket: str, files: typing.Mapping[str, bytes]) -> None:
        """Puts objects into a new bucket."""
        self._post("/storage/v1/b?project=tests", "application/json", json.dumps({"name": bucket}).encode())
        for key, body in files.items():
            parts = _MULTIPART % (json.dumps({"name": key}).encode(), base64.b64encode(body))
            path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
            self._post(path, 'multipart/related; boundary="cut"', parts)

    def names(self, bucket: str) -> list[str]:
        """Lists the objects of a bucket."""
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/{bucket}/o") as response:
            return [item["name"] for item in json.loads(response.read()).get("items", ())]

    def _insert(self, request: typing.Any, response: typing.Any, storage: typing.Any, **kwargs: typing.Any) -> None:
        with self._one_at_a_time:
            wanted = request.query.get("ifGenerationMatch")
            if wanted and wanted[0] != _generation(request, storage):
                response.status = http.HTTPStatus.PRECONDITION_FAILED
                return
            gcp_storage_emulator.handlers.objects.insert(request, response, storage, **kwargs)

    def _post(self, path: str, kind: str, body: bytes) -> None:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind}, method="POST")
        with urllib.request.urlopen(request) as response:
            response.read()


def _generation(request: typing.Any, storage: typing.Any) -> str:
    """Returns that of the object which is to be replaced, 0 if there is none."""
    name = request.query["name"][0] if "name" in request.query else request.data["meta"]["name"]
    try:
        return str(storage.get_file_obj(request.params["bucket_name"], name)["generation"])
    except gcp_storage_emulator.exceptions.NotFound:
        return "0"

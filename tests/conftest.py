"""Fixtures that all tests share."""

import hashlib
import multiprocessing.forkserver
import pathlib
import typing

import pytest

from transforms.stores.dataset_files import DatasetFiles

if typing.TYPE_CHECKING:
    from tests.flink_cluster import FlinkCluster
    from tests.store_servers import GcsServer, S3Server

_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "STORAGE_EMULATOR_HOST",
)
_SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real inputs; skips where it is absent."""
    if not _SHARED_DATA.is_dir():
        pytest.skip(f"real inputs are not here: {_SHARED_DATA}")
    return _SHARED_DATA


@pytest.fixture
def no_credentials(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which no tool finds credentials of an object store, whatever this machine has."""
    for name in _CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture(scope="session")
def s3() -> "typing.Iterator[S3Server]":
    """An S3 server; each test has buckets of its own there."""
    from tests.store_servers import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> "typing.Iterator[GcsServer]":
    """A server of Google's object store; each test has buckets of its own there."""
    from tests.store_servers import GcsServer

    with GcsServer() as server:
        yield server


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> "typing.Iterator[FlinkCluster]":
    """A Flink cluster of two TaskManagers. It takes long to start: few files of tests should use it."""
    from tests.flink_cluster import CannotFetch, FlinkCluster

    try:
        cluster = FlinkCluster(tmp_path_factory.mktemp("flink"))
    except CannotFetch as error:
        pytest.skip(f"there is no Flink: {error}")
    with cluster:
        yield cluster


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A name for a bucket of the test's own."""
    return f"bucket-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}"


@pytest.fixture
def fresh_workers() -> typing.Iterator[None]:
    """Has workers forked by a server of the test's own, with its environment and its standard error."""
    multiprocessing.forkserver._forkserver._stop()
    yield
    multiprocessing.forkserver._forkserver._stop()


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the names of the files that are read from datasets."""
    names: list[str] = []
    for method in ("open", "read"):
        real = getattr(DatasetFiles, method)
        monkeypatch.setattr(DatasetFiles, method, lambda self, name, real=real: names.append(name) or real(self, name))
    many = DatasetFiles.read_present
    monkeypatch.setattr(DatasetFiles, "read_present", lambda self, some: names.extend(some) or many(self, some))
    return names

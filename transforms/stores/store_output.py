"""Datasets on object stores and other servers: no file is renamed there that a reader could see half of."""

import concurrent.futures
import contextlib
import hashlib
import pathlib
import shutil
import tempfile
import uuid

from schemas import layout
from transforms.fetch.fetch_options import FetchOptions
from transforms.files.image_files import ImagePlaceError
from transforms.files.publish import OutputError, own_temporary_folder
from transforms.stores.object_store import check_bucket, is_store_url
from transforms.stores.output import Output
from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors

PART_BYTES = 16 << 20
"""Of an upload in parts."""

_REMOVALS_AT_ONCE = 16


class ChangedError(Exception):
    """A file is not the one that it was taken for."""


class StoreOutput(Output):
    """A dataset on any file system of fsspec's: files are uploaded below `_tmp`, measured, and moved.

    Args:
        root: URL of the dataset.
        s3: how S3 is reached.

    Attributes:
        is_conditional: whether :meth:`swap` is one step for the store.
    """

    is_conditional = False

    def child(self, folder: str) -> "StoreOutput":
        """Returns the output below a folder of this one."""
        return type(self)(f"{self.root.rstrip('/')}/{folder}", self.s3)

    def entries(self) -> list[str]:
        """Lists what lies at the root. Listing is all that this is good for: it may lag behind."""
        if is_store_url(self.root):
            _check_bucket(self.root, self.s3)
        try:
            with as_os_errors():
                paths = [path.rstrip("/") for path in self._fs.ls(self._root, detail=False)]
        except FileNotFoundError:
            return []
        except (OSError, NotImplementedError) as error:
            raise OutputError(f"--output {self}: cannot be listed ({error!r}); choose another place") from error
        root = self._root.rstrip("/")
        if paths == [root] and self._fs.isfile(root):
            raise NotADirectoryError(self.root)
        return sorted({path.rpartition("/")[2] for path in paths if path != root})

    @as_os_errors()
    def publish(self, staged: pathlib.Path, name: str) -> None:
        """Uploads a finished file, and looks whether all of it is there; the local one is removed."""
        self.check_held()
        size_bytes = staged.stat().st_size
        self._upload(staged, name)
        found_bytes = self.size(name)
        if found_bytes != size_bytes:
            self._fs.rm_file(self._path(name))
            raise OutputError(f"{self}/{name}: {size_bytes} bytes were sent, the store has {found_bytes}; try again")
        staged.unlink()

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file under its final name, whole or not at all."""
        with tempfile.TemporaryDirectory(prefix="photobeam-") as folder:
            staged = pathlib.Path(folder, pathlib.PurePosixPath(name).name)
            staged.write_bytes(data)
            self.publish(staged, name)

    @as_os_errors()
    def move(self, staged: str, name: str) -> None:
        """Copies the file within the store, and removes the first one."""
        self.check_held()
        self._move(self._path(staged), self._path(name))

    @as_os_errors()
    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        self.check_held()
        self._remove(self._path(name))

    @as_os_errors()
    def remove_tree(self, name: str) -> None:
        """Removes a file, or all files below a folder, if there are any."""
        self.check_held()
        paths = self._fs.find(self._path(name))
        with concurrent.futures.ThreadPoolExecutor(_REMOVALS_AT_ONCE) as threads:
            list(threads.map(self._remove, paths))
        if self._fs.isdir(self._path(name)):
            self._fs.rm(self._path(name), recursive=True)

    def run_folder(self, run_id: str) -> pathlib.Path:
        """Returns a folder among this machine's temporary files, of this user and this output.

        Raises:
            OutputError: another user has taken the name.
        """
        return self._run_folders() / run_id

    @as_os_errors()
    def sweep(self) -> None:
        """Removes local folders of dead runs, and what they left in the store, unfinished uploads among it."""
        shutil.rmtree(self._run_folders(), ignore_errors=True)
        for name in self.child(layout.TMP).entries():
            unfinished = f"{layout.TMP}/{name}"
            if layout.is_unfinished(unfinished):
                self.remove_tree(unfinished)

    @as_os_errors()
    def read_token(self, name: str) -> tuple[bytes, str] | None:
        """Reads a small file, and the token by which the store tells this version from others; None without one."""
        while True:
            token = self._token(name)
            if token is None:
                return None
            with contextlib.suppress(FileNotFoundError):
                data: bytes = self._fs.cat_file(self._path(name))
                if self._token(name) == token:
                    return data, token

    def swap(self, name: str, data: bytes, token: str | None) -> str:
        """Replaces the version of a small file that has this token, or writes the first one.

        Args:
            name: of the file.
            data: what it will hold.
            token: of the version that is replaced, None if there is to be none.

        Returns:
            The token of the new version.

        Raises:
            ChangedError: it is another version.
        """
        if self._token(name) != token:
            raise ChangedError(name)
        with tempfile.TemporaryDirectory(prefix="photobeam-") as folder:
            staged = pathlib.Path(folder, "staged")
            staged.write_bytes(data)
            with as_os_errors():
                self._upload(staged, name)
        return hashlib.sha256(data).hexdigest()

    def _token(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self._fs.cat_file(self._path(name))).hexdigest()
        except FileNotFoundError:
            return None

    def _upload(self, staged: pathlib.Path, name: str) -> None:
        temporary = self._path(f"{layout.TMP}/{uuid.uuid4().hex}")
        self._fs.makedirs(self._fs._parent(temporary), exist_ok=True)
        try:
            self._fs.put_file(str(staged), temporary)
            found_bytes = self._fs.size(temporary)
            if found_bytes != staged.stat().st_size:
                raise OutputError(f"{self}/{name}: the store has {found_bytes} bytes of what was sent; try again")
            self._move(temporary, self._path(name))
        except OSError:
            with contextlib.suppress(OSError):
                self._fs.rm_file(temporary)
            raise

    def _move(self, old: str, new: str) -> None:
        self._fs.makedirs(self._fs._parent(new), exist_ok=True)
        self._fs.mv(old, new)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def _run_folders(self) -> pathlib.Path:
        place = hashlib.sha256(f"{self.s3.endpoint_url} {self.root}".encode()).hexdigest()[:16]
        return own_temporary_folder() / place


class ObjectOutput(StoreOutput):
    """A dataset on an object store: an object appears with its last byte, and preconditions are the store's own.

    Attributes:
        token_field: of what the store says of an object, the one that differs from version to version.
    """

    is_conditional = True
    token_field: str

    def _token(self, name: str) -> str | None:
        try:
            return str(self._fs.info(self._path(name))[self.token_field])
        except FileNotFoundError:
            return None

    def _move(self, old: str, new: str) -> None:
        self._fs.cp_file(old, new)
        self._fs.rm_file(old)


def _check_bucket(url: str, s3: S3Options) -> None:
    try:
        check_bucket(f"--output {url}", url, s3, FetchOptions(), must_list=True)
    except ImagePlaceError as error:
        raise OutputError(str(error)) from error

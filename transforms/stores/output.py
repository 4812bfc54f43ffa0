"""The output: where the files of a dataset are written, each under its final name only when it is whole."""

import json
import os
import pathlib
import shutil
import typing
import uuid

from schemas import layout
from schemas.records import Record
from transforms.files.publish import OutputError, publish
from transforms.stores.dataset_files import DatasetFiles

R = typing.TypeVar("R", bound=Record)


class LeaseLostError(OutputError):
    """Another run holds the output now."""


class Output(DatasetFiles):
    """A dataset that is written: what the places have in common. It can be pickled, and is small.

    Attributes:
        holder: id of the lease under which this is written, '' where none is asked for: see
            :func:`transforms.stores.lease.hold_output`.
    """

    holder = ""

    def child(self, folder: str) -> "Output":
        """Returns the output below a folder of this one."""
        raise NotImplementedError

    def entries(self) -> list[str]:
        """Lists what lies at the root, files and folders, sorted; nothing if there is no root.

        Raises:
            NotADirectoryError: it is a file.
            OutputError: the place cannot be reached.
        """
        raise NotImplementedError

    def publish(self, staged: pathlib.Path, name: str) -> None:
        """Gives a finished local file its final name, replacing an older one; it is safe there when this returns.

        Raises:
            OSError: the place refuses.
        """
        raise NotImplementedError

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file under its final name, whole or not at all.

        Raises:
            OSError: the place refuses.
        """
        raise NotImplementedError

    def move(self, staged: str, name: str) -> None:
        """Gives a file that was published under a passing name its final one, replacing an older one.

        Raises:
            OSError: the place refuses.
        """
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        raise NotImplementedError

    def remove_tree(self, name: str) -> None:
        """Removes a file, or a folder with all that is in it, if it is there."""
        raise NotImplementedError

    def run_folder(self, run_id: str) -> pathlib.Path:
        """Returns where a run keeps what is unfinished: a local folder, from which files can be published."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Removes what dead runs left unfinished. Only who holds the output may do that."""
        raise NotImplementedError

    def check_writable(self) -> None:
        """Checks before any work that the output can be written.

        Raises:
            OutputError: it cannot.
        """
        probe = f"{layout.TMP}/probe-{uuid.uuid4().hex}"
        try:
            self.write(probe, b"photobeam")
            self.remove(probe)
        except (OSError, NotImplementedError, TypeError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise OutputError(f"--output {self}: cannot be written ({said}); choose another place") from error

    def check_no_links(self) -> None:
        """Checks that what is replaced does not stay elsewhere.

        Raises:
            OutputError: a file or folder of the dataset is a link.
        """

    def check_held(self) -> None:
        """Checks that the lease is still the one under which this is written; every change here does so by itself.

        Raises:
            LeaseLostError: it is not.
        """
        if not self.holder:
            return
        try:
            holder = json.loads(self.read(layout.LEASE))["id"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            holder = ""
        if holder != self.holder:
            raise LeaseLostError(f"--output {self}: another run has taken it over; nothing more is written here")


class LocalOutput(Output):
    """A dataset in a local directory. Everything is written below `_tmp` first, on the same file system, and renamed.

    Args:
        root: of the dataset; need not exist yet.
    """

    def __init__(self, root: pathlib.Path):
        super().__init__(str(root))
        self.path = root

    def child(self, folder: str) -> "LocalOutput":
        """Returns the output below a folder of this one."""
        return LocalOutput(self.path / folder)

    def entries(self) -> list[str]:
        """Lists what lies at the root, files and folders, sorted; nothing if there is no root."""
        return sorted(path.name for path in self.path.iterdir()) if self.path.exists() else []

    def check_no_links(self) -> None:
        """Looks below the root, which itself may be a link."""
        found = (path for name in self.entries() if name != layout.TMP for path in _links(self.path / name))
        if link := next(found, None):
            raise OutputError(
                f"{link} is a link to {os.readlink(link)}: what is replaced would stay there; put the file or folder "
                "itself in its place, or let the whole dataset be one link"
            )

    def publish(self, staged: pathlib.Path, name: str) -> None:
        """Renames a finished file, durably."""
        self.check_held()
        publish(staged, self.path / name)

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file under its final name, whole or not at all."""
        staged = self.path / layout.TMP / uuid.uuid4().hex
        staged.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_bytes(data)
            self.publish(staged, name)
        finally:
            staged.unlink(missing_ok=True)

    def move(self, staged: str, name: str) -> None:
        """Renames a file, durably."""
        self.publish(self.path / staged, name)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        self.check_held()
        (self.path / name).unlink(missing_ok=True)

    def remove_tree(self, name: str) -> None:
        """Removes a file, or a folder with all that is in it, if it is there."""
        self.check_held()
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def run_folder(self, run_id: str) -> pathlib.Path:
        """Returns a folder on the file system of the dataset."""
        return self.path / layout.TMP / run_id

    def sweep(self) -> None:
        """Removes all that is in `_tmp` but the lease, and notes of what is elsewhere."""
        for name in self.child(layout.TMP).entries():
            unfinished = f"{layout.TMP}/{name}"
            if layout.is_unfinished(unfinished):
                self.remove_tree(unfinished)


def read_record(output: DatasetFiles, name: str, record: type[R]) -> R:
    """Reads one of the JSON records of a dataset.

    Raises:
        FileNotFoundError: it is not there.
        OtherFormatError: it is of another format version.
        ValueError: it is damaged.
    """
    return record.from_json(output.read(name), f"{output}/{name}")


def _links(path: pathlib.Path) -> typing.Iterator[pathlib.Path]:
    if path.is_symlink():
        yield path
    elif path.is_dir():
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink() or entry.is_dir():
                    yield from _links(pathlib.Path(entry.path))

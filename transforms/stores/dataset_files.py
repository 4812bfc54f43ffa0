"""Reading a dataset to judge it: each file against the size and SHA-256 it should have."""

import pathlib
import typing

from fsspec.spec import AbstractBufferedFile

from schemas import layout
from schemas.records import FileDigest
from schemas.splits import SPLITS
from transforms.files.file_digest import READ_BYTES, bytes_digest
from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_files import open_file_system

_FILES_AT_ONCE = 1_000


class Fault(typing.NamedTuple):
    """Something in a dataset that is not as it should be.

    Attributes:
        file: its name in the dataset.
        problem: what is wrong with it.
        remedy: what to do about it.
    """

    file: str
    problem: str
    remedy: str


class NoDatasetError(Exception):
    """There is no dataset at this place."""


class DamagedDatasetError(Exception):
    """A file of the dataset cannot be read; names it and the remedy."""


class DatasetFiles:
    """The files of a dataset, by their names in it.

    Args:
        root: local path or any URL that fsspec opens.
        s3: how S3 is reached.

    Attributes:
        root, s3: as given.

    Raises:
        NoDatasetError: the place cannot be opened.
    """

    def __init__(self, root: str, s3: S3Options | None = None):
        self.root, self.s3 = root, s3 or S3Options()
        try:
            self._fs, self._root = open_file_system(root, self.s3)
        except (ValueError, ImportError, OSError) as error:
            raise NoDatasetError(f"{root} cannot be opened: {error}") from error

    def __str__(self) -> str:
        return self.root

    def exists(self, name: str) -> bool:
        """Tells whether there is such a file.

        Raises:
            OSError: the place does not say. fsspec's own answer would be that there is none.
        """
        return self.size(name) is not None

    @as_os_errors()
    def size(self, name: str) -> int | None:
        """Returns the size of a file in bytes, None if there is no such file."""
        try:
            entry = self._fs.info(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return int(entry["size"]) if entry["type"] == "file" else None

    @as_os_errors()
    def open(self, name: str) -> typing.BinaryIO:
        """Opens a file for one sequential read; what the store breaks off is an OSError, too.

        Raises:
            OSError: it cannot be opened.
        """
        file = self._fs.open(self._path(name), "rb", block_size=8 * READ_BYTES)
        if isinstance(file, AbstractBufferedFile):
            file.cache.fetcher = as_os_errors()(file.cache.fetcher)
        return file

    @as_os_errors()
    def read(self, name: str) -> bytes:
        """Reads a whole file.

        Raises:
            OSError: it cannot be read.
        """
        return self._fs.cat_file(self._path(name))

    @as_os_errors()
    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Reads a part of a file by one request; less where the file ends before.

        Raises:
            OSError: it cannot be read.
        """
        return self._fs.cat_file(self._path(name), start=offset, end=offset + size)

    @as_os_errors()
    def read_ranges(self, ranges: typing.Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Reads parts of files (name, offset, number of bytes), as many at once as the store likes.

        Raises:
            OSError: one cannot be read, or ends before.
        """
        paths, begins = [self._path(name) for name, _, _ in ranges], [offset for _, offset, _ in ranges]
        ends = [offset + length for _, offset, length in ranges]
        parts = self._fs.cat_ranges(paths, begins, ends, on_error="return") if ranges else []
        for (name, _, length), part in zip(ranges, parts, strict=True):
            if isinstance(part, Exception):
                raise part
            if len(part) != length:
                raise OSError(f"{self}/{name} ends before it should")
        return parts

    @as_os_errors()
    def download(self, name: str, path: pathlib.Path) -> None:
        """Copies a whole file to a local path.

        Raises:
            OSError: it cannot be read, or not all of it arrives.
        """
        self._fs.get_file(self._path(name), str(path))
        if path.stat().st_size != self.size(name):
            raise OSError(f"{self}/{name} has not arrived whole; try again")

    @as_os_errors()
    def read_present(self, names: typing.Sequence[str]) -> dict[str, bytes]:
        """Reads small files, as many at once as the store likes; those that are not there are left out.

        Raises:
            OSError: one cannot be read.
        """
        found: dict[str, bytes] = {}
        for begin in range(0, len(names), _FILES_AT_ONCE):
            some = names[begin : begin + _FILES_AT_ONCE]
            answers = self._fs.cat_ranges([self._path(name) for name in some], None, None, on_error="return")
            for name, answer in zip(some, answers, strict=True):
                if isinstance(answer, bytes):
                    found[name] = answer
                elif not isinstance(answer, FileNotFoundError):
                    raise answer
        return found

    @as_os_errors()
    def names(self, folder: str) -> list[str]:
        """Lists the files below a folder, sorted; none if there is no such folder."""
        return sorted(self.sizes(folder))

    @as_os_errors()
    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the size in bytes of every file below a folder; none if there is no such folder."""
        path = self._path(folder)
        return {f"{folder}{name[len(path) :]}": i["size"] for name, i in self._fs.find(path, detail=True).items()}

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def read_checked(
    dataset: DatasetFiles, name: str, expected: FileDigest | None, remedy: str, faults: list[Fault]
) -> bytes | None:
    """Reads a whole file; returns None, and adds a fault, unless it is the one expected.

    Args:
        dataset: where it lies.
        name: its name.
        expected: what was written; None if that is not known.
        remedy: for the fault.
        faults: what is found is added here.
    """
    try:
        data = dataset.read(name)
    except OSError as error:
        faults.append(Fault(name, unreadable(error), remedy))
        return None
    problem = digest_problem(bytes_digest(data), expected) if expected else None
    if problem:
        faults.append(Fault(name, problem, remedy))
        return None
    return data


def digest_problem(found: FileDigest, expected: FileDigest) -> str | None:
    """Says how a file differs from the one expected; None if it does not."""
    if found.bytes != expected.bytes:
        return f"it has {found.bytes:,} bytes, {expected.bytes:,} were written"
    if found.sha256 != expected.sha256:
        return f"its bytes have changed: SHA-256 {found.sha256}, {expected.sha256} was written"
    return None


def no_dataset_error(files: DatasetFiles) -> NoDatasetError:
    """Returns the error of a place with neither plan nor manifest; it names the datasets of splits below it."""
    root = files.root.rstrip("/")
    told = f"{root} holds no dataset: neither {layout.PLAN} nor {layout.MANIFEST} is there"
    records = {split: (f"{split}/{layout.PLAN}", f"{split}/{layout.MANIFEST}") for split in SPLITS}
    splits = [f"{root}/{split}" for split, names in records.items() if any(map(files.exists, names))]
    return NoDatasetError(f"{told}; name {' or '.join(splits)}" if splits else told)


def unreadable(error: OSError) -> str:
    """Says that a file is missing, or why it cannot be read."""
    return "it is missing" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error}"

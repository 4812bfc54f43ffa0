"""Where a run keeps what its workers share until it ends: files under names, in a local folder or on a store.

A file appears whole or not at all, whoever else writes the same one at the same time: each attempt writes under a
name of its own. So a step may be repeated, here or elsewhere, and an attempt that was given up may go on writing.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import pathlib
import shutil
import tempfile
import typing

from schemas import layout
from transforms.files.publish import OutputError, staged_as
from transforms.stores.local_copies import drop_copies, local_copy
from transforms.stores.open_output import open_output
from transforms.stores.output import LocalOutput, Output
from transforms.stores.request_signers import S3Options

TEMP_FLAG = "--temp_location"

_FILES_AT_ONCE = 16


class Range(typing.NamedTuple):
    """Some bytes of a file.

    Attributes:
        name: of the file.
        offset: of the first byte.
        length: number of bytes.
    """

    name: str
    offset: int
    length: int


@dataclasses.dataclass(frozen=True)
class Scratch:
    """What the places have in common. Small, can be pickled, and equal to others of the same place.

    Attributes:
        is_shared: workers are on other machines, and a step may be repeated there when those after it are done, as
            clusters do that have lost a worker; so nothing is removed before the run ends.
    """

    is_shared: bool = dataclasses.field(default=False, kw_only=True)

    def child(self, folder: str) -> "Scratch":
        """Returns the place below a folder of this one."""
        raise NotImplementedError

    def writing(self, name: str) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Gives a local path to write a file to; it gets its name when the ``with`` block ends without an error."""
        raise NotImplementedError

    def reading(self, name: str) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Gives a local file with the content of one for the length of a ``with`` block; what is mapped of it stays.

        Raises:
            OSError: it is not there, at the latest when the path is opened, or cannot be read.
        """
        raise NotImplementedError

    def local(self, name: str) -> pathlib.Path:
        """Returns a local file with the content of one, the same for all processes of this machine, until the run ends.

        For the few files that every worker needs again and again.

        Raises:
            OSError: as :meth:`reading`.
        """
        raise NotImplementedError

    def read_ranges(self, ranges: typing.Iterable[Range]) -> list[bytes]:
        """Reads many parts of files.

        Raises:
            OSError: one cannot be read.
        """
        raise NotImplementedError

    def read_files(self, names: typing.Iterable[str]) -> list[bytes]:
        """Reads small files, some at once; in the order of their names.

        Raises:
            OSError: one cannot be read.
        """
        with concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
            return list(threads.map(self._read_file, names))

    def _read_file(self, name: str) -> bytes:
        with self.reading(name) as path:
            return path.read_bytes()

    def exists(self, name: str) -> bool:
        """Tells whether there is such a file; raises OSError where the place does not say."""
        raise NotImplementedError

    def check_writable(self) -> None:
        """Checks before any work that files can be written.

        Raises:
            OutputError: they cannot.
        """
        try:
            with self.writing("probe") as path:
                path.write_bytes(b"photobeam")
        except (OSError, NotImplementedError, TypeError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise OutputError(f"{TEMP_FLAG} {self}: cannot be written ({said}); choose another place") from error

    def remove(self) -> None:
        """Removes all files, and this machine's copies of them.

        Raises:
            OSError: the place refuses.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class LocalScratch(Scratch):
    """A local folder, which all workers see.

    Attributes:
        folder: need not exist yet.
    """

    folder: pathlib.Path

    def __str__(self) -> str:
        return str(self.folder)

    def child(self, folder: str) -> "LocalScratch":
        """Returns the place below a folder of this one."""
        return LocalScratch(self.folder / folder, is_shared=self.is_shared)

    @contextlib.contextmanager
    def writing(self, name: str) -> typing.Iterator[pathlib.Path]:
        """Gives a path beside the file's, which is renamed."""
        path = self.folder / name
        with staged_as(path.parent, path.name) as staged:
            yield staged
            staged.replace(path)

    @contextlib.contextmanager
    def reading(self, name: str) -> typing.Iterator[pathlib.Path]:
        """Gives the file itself."""
        yield self.folder / name

    def local(self, name: str) -> pathlib.Path:
        """Returns the file itself."""
        return self.folder / name

    def read_ranges(self, ranges: typing.Iterable[Range]) -> list[bytes]:
        """Reads many parts of files, one after another."""
        return [self._read_range(*range_) for range_ in ranges]

    def exists(self, name: str) -> bool:
        """Tells whether there is such a file."""
        return (self.folder / name).exists()

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_range(self, name: str, offset: int, length: int) -> bytes:
        with open(self.folder / name, "rb") as file:
            file.seek(offset)
            return file.read(length)


@dataclasses.dataclass(frozen=True)
class StoreScratch(Scratch):
    """A prefix of an object store, or a folder of any file system of fsspec's.

    Attributes:
        url: of a run's place.
        s3: how S3 is reached.
        folder: of that; '' for all of it.
    """

    url: str
    s3: S3Options = S3Options()
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.url}/{self.folder}".rstrip("/")

    def child(self, folder: str) -> "StoreScratch":
        """Returns the place below a folder of this one."""
        return dataclasses.replace(self, folder=self._name(folder))

    @contextlib.contextmanager
    def writing(self, name: str) -> typing.Iterator[pathlib.Path]:
        """Gives a path among temporary files, which is uploaded."""
        with _temporary(name) as staged:
            yield staged
            self._output.publish(staged, self._name(name))

    @contextlib.contextmanager
    def reading(self, name: str) -> typing.Iterator[pathlib.Path]:
        """Gives a temporary file."""
        with _temporary(name) as path:
            self._output.download(self._name(name), path)
            yield path

    def local(self, name: str) -> pathlib.Path:
        """Returns this machine's copy of a file."""
        return local_copy(self._output, self._name(name))

    def read_ranges(self, ranges: typing.Iterable[Range]) -> list[bytes]:
        """Reads many parts of files at once, by one request for those that adjoin each other."""
        wanted = [range_._replace(name=self._name(range_.name)) for range_ in ranges]
        merged = _merged(wanted)
        found = dict(zip(merged, self._output.read_ranges(merged), strict=True))
        return list(_parts(wanted, found))

    def exists(self, name: str) -> bool:
        """Tells whether there is such a file."""
        return self._output.exists(self._name(name))

    def remove(self) -> None:
        """Removes all files, and this machine's copies of them."""
        drop_copies(self._output, self.folder)
        self._output.remove_tree(self.folder)

    def _name(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    @functools.cached_property
    def _output(self) -> Output:
        return open_output(self.url, self.s3, TEMP_FLAG)


def scratch_of(output: Output, run_id: str, temp_location: Output | None = None, is_shared: bool = False) -> Scratch:
    """Returns where a run keeps what its workers share.

    Args:
        output: the dataset.
        run_id: of the run, which has the place to itself.
        temp_location: below which it is; None for below the output, or among the temporary files of this machine if
            that is on a store and all workers are here.
        is_shared: workers are on other machines, and steps are repeated there.
    """
    if temp_location:
        place = temp_location.child(run_id)
    elif is_shared:
        place = output.child(f"{layout.TMP}/{run_id}")
    else:
        return LocalScratch(output.run_folder(run_id))
    if isinstance(place, LocalOutput):
        return LocalScratch(place.path, is_shared=is_shared)
    return StoreScratch(place.root, place.s3, is_shared=is_shared)


@contextlib.contextmanager
def _temporary(name: str) -> typing.Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory(prefix="photobeam-") as folder:
        yield pathlib.Path(folder, pathlib.PurePosixPath(name).name)


def _merged(ranges: typing.Iterable[Range]) -> list[Range]:
    """Puts together those that adjoin each other.

    Example:
        >>> _merged([Range("a", 0, 2), Range("b", 0, 1), Range("a", 2, 3), Range("a", 9, 1)])
        [Range(name='a', offset=0, length=5), Range(name='a', offset=9, length=1), Range(name='b', offset=0, length=1)]
    """
    merged: list[Range] = []
    for range_ in sorted(set(ranges)):
        last = merged[-1] if merged else None
        if last and (last.name, last.offset + last.length) == range_[:2]:
            merged[-1] = last._replace(length=last.length + range_.length)
        else:
            merged.append(range_)
    return merged


def _parts(wanted: typing.Iterable[Range], found: typing.Mapping[Range, bytes]) -> typing.Iterator[bytes]:
    """Yields the bytes of each range from those of the merged ones."""
    begins: dict[str, list[Range]] = {}
    for range_ in found:
        begins.setdefault(range_.name, []).append(range_)
    for range_ in wanted:
        whole = next(w for w in begins[range_.name] if w.offset <= range_.offset < w.offset + w.length)
        begin = range_.offset - whole.offset
        yield found[whole][begin : begin + range_.length]

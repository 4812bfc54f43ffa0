"""A text file of word vectors, opened from any place: plain, gzip or in a zip, as they are published."""

import contextlib
import gzip
import io
import typing
import zipfile
import zlib

from transforms.files.url_credentials import without_credentials
from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_files import open_file_system

_READ_BYTES = 1 << 20
_MEMBER = "zip://"
_ZIP_MAGIC, _GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"


class VectorFileError(ValueError):
    """A file of word vectors cannot be read, or is not what it should be; the message names file, line and remedy."""


@contextlib.contextmanager
def open_vectors(url: str, s3: S3Options | None = None) -> typing.Iterator[typing.BinaryIO]:
    """Opens a file of vectors for one sequential read.

    Args:
        url: local path or any fsspec URL of a text file, a ``.gz`` of one, a zip that holds one, or, of a zip that
            holds several, ``zip://MEMBER::ZIP``. Its first bytes tell what it is.
        s3: how S3 is reached.

    Raises:
        VectorFileError: it cannot be opened or read, is damaged, or a zip holds several files. Also while it is read.
    """
    name, (member, place) = without_credentials(url), split_member(url)
    try:
        with contextlib.ExitStack() as stack, as_os_errors():
            yield _unpacked(name, stack.enter_context(_open(place, s3 or S3Options())), member, stack)
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise VectorFileError(f"{name}: is damaged or cut ({error}); fetch it again") from error
    except OSError as error:
        raise VectorFileError(f"{name}: cannot be read: {without_credentials(str(error))}") from error


def split_member(url: str) -> tuple[str, str]:
    """Returns the member of a zip that a URL names, '' if it names none, and the URL of the file itself.

    Example:
        >>> split_member("zip://glove.6B.50d.txt::s3://vectors/glove.6B.zip")
        ('glove.6B.50d.txt', 's3://vectors/glove.6B.zip')
    """
    outer, _, inner = url.partition("::")
    return (outer.removeprefix(_MEMBER), inner) if outer.startswith(_MEMBER) and inner else ("", url)


def _open(url: str, s3: S3Options) -> typing.ContextManager[typing.BinaryIO]:
    try:
        files, path = open_file_system(url, s3)
        return files.open(path, "rb", block_size=8 * _READ_BYTES)
    except (ValueError, ImportError) as error:
        raise VectorFileError(
            f"{without_credentials(url)}: cannot be opened: {without_credentials(str(error))}"
        ) from error


def _unpacked(name: str, file: typing.BinaryIO, member: str, stack: contextlib.ExitStack) -> typing.BinaryIO:
    buffered = io.BufferedReader(typing.cast(io.RawIOBase, file), _READ_BYTES)
    magic = buffered.peek(len(_ZIP_MAGIC))
    if not member and magic.startswith(_GZIP_MAGIC):
        return _buffered(gzip.GzipFile(fileobj=buffered))
    if not member and not magic.startswith(_ZIP_MAGIC):
        return buffered
    archive = stack.enter_context(zipfile.ZipFile(buffered))
    members = [m.filename for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if member and member not in members:
        raise VectorFileError(f"{name}: there is no such member; the zip holds {sorted(members)}")
    if not member and len(members) != 1:
        named = f"{_MEMBER}{members[0]}::{name}" if members else "another file"
        raise VectorFileError(f"{name}: holds {len(members)} files {sorted(members)}; name one, such as {named}")
    return _buffered(stack.enter_context(archive.open(member or members[0])))


def _buffered(unpacked: typing.IO[bytes] | gzip.GzipFile) -> typing.BinaryIO:
    return io.BufferedReader(typing.cast(io.RawIOBase, unpacked), _READ_BYTES)

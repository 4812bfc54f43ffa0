"""Finds out what a file of Open Images is, and why one cannot be read."""

import bz2
import typing
import zlib

import fsspec

from schemas.open_images import Layout, OpenImagesKind, ends_lines_with_cr, missing_columns, recognise
from transforms.sources.input_files import InputError

_HEAD_BYTES = 1 << 16
_BZ2 = b"BZh"
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


class OpenImagesFile(typing.NamedTuple):
    """A file of Open Images.

    Attributes:
        url: path or fsspec URL.
        layout: what it holds and how it is read.
    """

    url: str
    layout: Layout

    @property
    def kind(self) -> OpenImagesKind:
        """What it holds."""
        return self.layout.kind


class BadOpenImagesError(InputError):
    """A file is none of Open Images', or cannot be read; the message names the file and says why.

    Args:
        url: of the file.
        why: what is wrong, and where.
    """

    def __init__(self, url: str, why: str):
        super().__init__(f"{url}: {why}")
        self.url = url
        self.why = why

    def __reduce__(self) -> tuple[type["BadOpenImagesError"], tuple[str, str]]:
        return type(self), (self.url, self.why)


def find_open_images(url: str) -> OpenImagesFile | None:
    """Recognises a file by its beginning; None if it is not of Open Images or cannot be read as it is."""
    layout = recognise(_head(url))
    return OpenImagesFile(url, layout) if layout else None


def require_open_images(url: str) -> OpenImagesFile:
    """Recognises a file that is said to be of Open Images.

    Raises:
        BadOpenImagesError: it is not, or cannot be read as it is; the message says why.
    """
    found = find_open_images(url)
    if found is None:
        raise BadOpenImagesError(url, refusal_of(url) or "is no file of Open Images")
    return found


def refusal_of(url: str) -> str | None:
    """Says why a file that is of Open Images cannot be read; None if it can, or is of something else.

    Example: ``is a CSV of boxes without the column YMax``.
    """
    head = _head(url)
    packed = _unpacked(head)
    if packed:
        program, content = packed
        kind = _kind_of(content)
        return f"is compressed with {program} and holds {kind} of Open Images: decompress it first" if kind else None
    if recognise(head):
        return None
    kind, missing = missing_columns(head)
    if kind is None:
        return None
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        return f"is a CSV of {_name(kind)} without the {columns} {', '.join(missing)}"
    if ends_lines_with_cr(head):
        return f"is a CSV of {_name(kind)} whose lines end with CR alone: save it with line ends of LF"
    return None


def _head(url: str) -> bytes:
    with fsspec.open(url, "rb") as file:
        return file.read(_HEAD_BYTES)


def _unpacked(head: bytes) -> tuple[str, bytes] | None:
    """Returns the program that compressed a file, and how the content begins; None if none did."""
    try:
        if head.startswith(_GZIP):
            return "gzip", zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
        if head.startswith(_BZ2):
            return "bzip2", bz2.BZ2Decompressor().decompress(head, _HEAD_BYTES)
        if head.startswith(_ZIP):
            return "zip", _first_member(head)
    except (zlib.error, OSError, EOFError):
        return None
    return None


def _first_member(head: bytes) -> bytes:
    """Decompresses the beginning of the first member of a zip."""
    begin = 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    is_stored = head[8:10] == b"\0\0"
    return head[begin:] if is_stored else zlib.decompressobj(wbits=-15).decompress(head[begin:], _HEAD_BYTES)


def _kind_of(head: bytes) -> str | None:
    layout = recognise(head)
    return _name(layout.kind) if layout else None


def _name(kind: OpenImagesKind) -> str:
    return kind.value.replace("_", " ")

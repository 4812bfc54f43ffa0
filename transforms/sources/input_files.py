"""Files that source flags name: listed from paths, and described."""

import typing

import fsspec

from schemas.open_images import OpenImagesKind
from schemas.sources import Source
from transforms.stores.store_errors import network_remedy

MASK_FILES = "mask_files"
"""Kind of an input that is a directory or zip of PNG files."""

SIDE_KINDS = frozenset((OpenImagesKind.CLASS_NAMES.value, OpenImagesKind.HIERARCHY.value, MASK_FILES))
"""Kinds of files that name no photos; the readers of others look into them."""


class InputError(ValueError):
    """An input cannot be read, or is not what its flag says; the message names it and the remedy."""


class InputFile(typing.NamedTuple):
    """One file to read.

    Attributes:
        url: absolute path or URL.
        source: whose it is.
        kind: what it holds: the pack of YFCC, or what the source's own reader calls it.
        fields: number of fields of its lines; 0 where that does not matter.
        size: bytes, of a member of a zip decompressed.
        compressed: whether it is bz2.
        fingerprint: what changes when the file changes: modification time or ETag.
    """

    url: str
    source: Source
    kind: str
    fields: int
    size: int
    compressed: bool
    fingerprint: str


def list_files(flag: str, path: str) -> list[tuple[str, bool]]:
    """Lists the files of a file, directory, glob or fsspec URL, and whether each was named itself.

    Args:
        flag: the source's, for messages.
        path: as given.

    Raises:
        InputError: it leads nowhere.
    """
    try:
        fs, root = fsspec.url_to_fs(path)
        if fs.isdir(root):
            found, named = fs.find(root), False
        elif fs.exists(root):
            found, named = [root], True
        else:
            found, named = fs.glob(root) if any(c in root for c in "*?[") else [], False
    except Exception as error:  # noqa: BLE001  each file system raises errors of its own library
        remedy = "; packs on S3 are read with what boto3 finds, not by --s3_*" if path.startswith("s3") else ""
        raise InputError(f"{flag} {path}: {error}{network_remedy(error)}{remedy}") from error
    if named and not fs.isfile(root):
        raise InputError(f"{flag} {path}: is no regular file; inputs are read in parts, so save it as a file first")
    files = [f for f in found if named or (fs.isfile(f) and f.rsplit("/", 1)[-1][0] not in "._")]
    if not files:
        raise InputError(f"{flag} {path}: there is no such file; check the path")
    container = path[path.index("::") :] if "::" in path else ""
    return [(f if "file" in _protocols(fs) else fs.unstrip_protocol(f) + container, named) for f in files]


def size_of(url: str) -> int:
    """Returns the size of a file in bytes, of a member of a zip decompressed."""
    fs, path = fsspec.url_to_fs(url)
    return int(fs.info(path)["size"])


def fingerprint(url: str) -> str:
    """Returns what changes when a file changes; of a member of a zip, that of the zip."""
    fs, path = fsspec.url_to_fs(url.rpartition("::")[2])
    info = fs.info(path)
    return str(next((info[k] for k in ("ETag", "etag", "mtime", "LastModified") if info.get(k)), ""))


def _protocols(fs: typing.Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)

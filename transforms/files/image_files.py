"""Finds and reads single images in what an operator names: a directory, a zip or a tar. Nothing is unpacked."""

import collections
import copy
import re
import tarfile
import typing
import zipfile

import fsspec

from schemas.coco import bare_file_name
from transforms.files.url_credentials import without_credentials
from transforms.files.zip_member import MAX_HEADER_BYTES, unpack

IMAGE_EXTENSIONS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff", "avif", "heic", "jp2", "ico", "ppm")
)
DAMAGED = (zipfile.BadZipFile, EOFError, NotImplementedError)
"""What :meth:`ImageFiles.read` raises of a damaged or unreadable member."""

_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))
_ID_AND_SECRET = re.compile(r"([1-9]\d{0,18})_")
_RUBBISH = "__MACOSX"
"""Folder that macOS adds to zips, with files named like the images."""


class ImagePlaceError(ValueError):
    """A place of ``--images`` is missing, broken or ambiguous; the message names it and the remedy."""


class Packed(typing.NamedTuple):
    """Where a member lies in a zip on a server.

    Attributes:
        record_bytes: from its header to the next one's.
        bytes: of the data in it.
        method: of compression, as zip numbers it.
        crc: of the file.
    """

    record_bytes: int
    bytes: int
    method: int
    crc: int


class ImageFile(typing.NamedTuple):
    """One image of a place.

    Attributes:
        name: path within the place, for messages.
        size_bytes: as the place states it.
        offset: first byte in the tar, or of the header in a zip on a server; 0 elsewhere.
        packed: in a zip on a server, else None.
    """

    name: str
    size_bytes: int
    offset: int = 0
    packed: Packed | None = None


class ImageFiles(typing.Protocol):
    """A place that holds files."""

    def files(self) -> typing.Iterator[ImageFile]:
        """Lists the files, in any order; raises ImagePlaceError where the place is broken."""

    def read(self, file: ImageFile, max_bytes: int) -> bytes:
        """Returns at most ``max_bytes + 1`` bytes of the file, or raises :data:`DAMAGED`. Safe in several threads."""


class NamedFiles(typing.Protocol):
    """Which file of a place is which photo's, by the file's name."""

    def named(self, name: str) -> tuple[ImageFile, ...]:
        """Returns the files of that name.

        Args:
            name: less the extension; or ``ID_`` for all files ``ID_secret*``; or ``COCO_`` and twelve digits for
                COCO's files of 2014, which have the split between the two.
        """


class ImageIndex:
    """The named files of a place, in memory.

    Args:
        place: to list; read once, here.
    """

    def __init__(self, place: ImageFiles):
        self._files: dict[str, ImageFile] = {}
        self._doubles: dict[str, list[ImageFile]] = collections.defaultdict(list)
        for file in place.files():
            for name in photo_names(file.name):
                if self._files.setdefault(name, file) is not file:
                    self._doubles[name].append(file)

    def __len__(self) -> int:
        return len(self._files)

    def named(self, name: str) -> tuple[ImageFile, ...]:
        """Returns the files of that name, as :class:`NamedFiles` says."""
        return (self._files[name], *self._doubles.get(name, ())) if name in self._files else ()


def images_place(spec: str) -> str:
    """Returns what messages call a place: the flag, and its value without passwords and signatures."""
    return f"--images {without_credentials(spec)}"


def open_image_files(spec: str) -> ImageFiles:
    """Opens a directory (any fsspec URL), a zip or an uncompressed tar; which one is told by its content.

    Raises:
        ImagePlaceError: missing, unreadable or of another kind; names the place and the remedy.
    """
    place = images_place(spec)
    try:
        fs, path = fsspec.core.url_to_fs(spec)
        if fs.isdir(path):
            return _Directory(fs, path)
        head = fs.cat_file(path, 0, 512)
    except (OSError, ValueError, ImportError) as error:
        raise ImagePlaceError(
            f"{place} cannot be read ({error}): give an existing directory, zip or tar, or auto"
        ) from error
    return (_Zip if is_zip(place, head) else _Tar)(place, fs, path)


def is_zip(place: str, head: bytes) -> bool:
    """Tells a zip from a tar.

    Args:
        place: as :func:`images_place` calls it.
        head: its first 512 bytes.

    Raises:
        ImagePlaceError: it is neither; names the place and the remedy.
    """
    for magic, compression in _COMPRESSIONS:
        if head.startswith(magic):
            raise ImagePlaceError(
                f"{place} is compressed with {compression}, so single images cannot be read from it: "
                "decompress it to a plain tar, or make a zip"
            )
    if head.startswith(b"PK"):
        return True
    if _is_tar_header(head):
        return False
    raise ImagePlaceError(f"{place} is neither a directory nor a zip nor a tar: give one of these, or auto")


def open_zip(place: str, file: typing.IO[bytes]) -> zipfile.ZipFile:
    """Opens a zip.

    Raises:
        ImagePlaceError: it is damaged; names the place and the remedy.
    """
    try:
        return zipfile.ZipFile(file)
    except (*DAMAGED, OSError, ValueError) as error:
        raise broken_zip(place, str(error)) from error


def broken_zip(place: str, why: str) -> ImagePlaceError:
    """Returns the error of a zip that is damaged."""
    return ImagePlaceError(f"{place} is a broken zip ({why}): copy it again")


def zip_members(place: str, archive: zipfile.ZipFile) -> typing.Iterator[zipfile.ZipInfo]:
    """Lists the files of a zip; raises ImagePlaceError if they are encrypted."""
    for info in archive.infolist():
        if info.flag_bits & 1:
            raise ImagePlaceError(f"{place} holds encrypted files: make a zip without a password")
        if not info.is_dir():
            yield info


def tar_members(place: str, file: typing.IO[bytes]) -> typing.Iterator[ImageFile]:
    """Lists the files of a tar, going from header to header; raises ImagePlaceError if it is damaged."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while info := tar.next():
                if info.isreg():
                    yield ImageFile(info.name, info.size, info.offset_data)
                typing.cast(typing.Any, tar).members.clear()  # Else every header read so far is kept.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"no header at byte {tar.offset}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImagePlaceError(f"{place} is a broken tar ({error}): copy it again") from error


class _Directory:
    def __init__(self, fs: typing.Any, path: str):
        self._fs, self._path = fs, path

    def files(self) -> typing.Iterator[ImageFile]:
        for name, info in self._fs.find(self._path, detail=True).items():
            if info["type"] == "file" or info.get("islink"):
                yield ImageFile(name, info["size"] or 0)

    def read(self, file: ImageFile, max_bytes: int) -> bytes:
        return self._fs.cat_file(file.name, 0, max_bytes + 1)


class _Zip:
    def __init__(self, place: str, fs: typing.Any, path: str):
        self._place, self._zip = place, open_zip(place, fs.open(path, "rb"))

    def files(self) -> typing.Iterator[ImageFile]:
        return (ImageFile(info.filename, info.file_size) for info in zip_members(self._place, self._zip))

    def read(self, file: ImageFile, max_bytes: int) -> bytes:
        info = self._zip.getinfo(file.name)
        if max(info.file_size, info.compress_size - MAX_HEADER_BYTES) > max_bytes:
            raise zipfile.BadZipFile(f"more than {max_bytes} bytes")
        packed = copy.copy(info)
        packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
        del packed.CRC
        with self._zip.open(packed) as member:
            return unpack(member.read(), info.compress_type, info.file_size, info.CRC)


class _Tar:
    def __init__(self, place: str, fs: typing.Any, path: str):
        self._place, self._fs, self._path = place, fs, path

    def files(self) -> typing.Iterator[ImageFile]:
        with self._fs.open(self._path, "rb") as file:
            yield from tar_members(self._place, file)

    def read(self, file: ImageFile, max_bytes: int) -> bytes:
        return self._fs.cat_file(self._path, file.offset, file.offset + min(file.size_bytes, max_bytes + 1))


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return len(block) == tarfile.BLOCKSIZE and not block.strip(b"\0")
    return True


def photo_names(path: str) -> typing.Iterator[str]:
    """Yields the names under which a file may be looked up, as :meth:`NamedFiles.named` says.

    Example:
        >>> list(photo_names("a/6985418911_df7747990d.JPG")), list(photo_names("a/notes.txt"))
        (['6985418911_df7747990d', '6985418911_'], [])
        >>> list(photo_names("val2014/COCO_val2014_000000000042.jpg"))
        ['COCO_val2014_000000000042', 'COCO_000000000042']
    """
    *folders, name = path.split("/")
    stem, _, extension = name.rpartition(".")
    if not stem or stem.startswith(".") or _RUBBISH in folders or extension.lower() not in IMAGE_EXTENSIONS:
        return
    yield stem
    if match := _ID_AND_SECRET.match(stem):
        yield match[0]
    if (bare := bare_file_name(stem)) != stem:
        yield f"COCO_{bare}"

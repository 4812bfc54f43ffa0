"""Whether a file is a whole MP4, by its boxes alone: nothing is decoded.

An MP4, as any ISO base media file (ISO/IEC 14496-12, section 4.2), is a row of boxes, each with its size; the first is
``ftyp`` with the brand of the file. The last box ends with the file, which tells a file that was cut from a whole one.
"""

import os
import pathlib
import struct
import typing

from schemas.failures import FailureReason, PhotoError, Stage
from schemas.videos import MAX_BOXES, STILL_BRANDS

_HEADER = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_OTHERS = (
    ("Matroska or WebM", 0, b"\x1a\x45\xdf\xa3"),
    ("Ogg", 0, b"OggS"),
    ("Flash Video", 0, b"FLV"),
    ("AVI", 8, b"AVI "),
    ("ASF or WMV", 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("MPEG program stream", 0, b"\x00\x00\x01\xba"),
    ("QuickTime without ftyp", 4, b"moov"),
    ("QuickTime without ftyp", 4, b"mdat"),
    ("QuickTime without ftyp", 4, b"wide"),
)
"""Other containers of videos: name, and where which bytes stand."""


def check_video(path: pathlib.Path) -> None:
    """Checks a file that was fetched as a video.

    Raises:
        PhotoError: ``not_an_image`` if it is no video, ``unsupported_image`` if it is one of another container,
            ``truncated_image`` if its last box ends beyond it, ``corrupt_image`` if its boxes make no sense.
    """
    with open(path, "rb") as file:
        head = file.read(16)
        if head[4:8] != b"ftyp" or head[8:12].decode("latin-1") in STILL_BRANDS:
            raise _no_video(head)
        size_bytes = os.fstat(file.fileno()).st_size
        offset = boxes = 0
        while offset < size_bytes:
            boxes += 1
            if boxes > MAX_BOXES:
                raise _corrupt(f"the MP4 has more than {MAX_BOXES:,} outermost boxes")
            offset += _box_bytes(file, offset, size_bytes)
    if offset > size_bytes:
        raise _truncated()


def _box_bytes(file: typing.BinaryIO, offset: int, size_bytes: int) -> int:
    """Returns the size of the box that begins at an offset, as its header states it."""
    file.seek(offset)
    header = file.read(_HEADER.size + _LARGE_SIZE.size)
    if len(header) < _HEADER.size:
        raise _truncated()
    stated, header_bytes = _HEADER.unpack_from(header)[0], _HEADER.size
    if stated == 0:
        return size_bytes - offset
    if stated == 1:
        if len(header) < _HEADER.size + _LARGE_SIZE.size:
            raise _truncated()
        stated, header_bytes = _LARGE_SIZE.unpack_from(header, _HEADER.size)[0], len(header)
    if stated < header_bytes:
        raise _corrupt("a box of the MP4 is smaller than its own header")
    return int(stated)


def _no_video(head: bytes) -> PhotoError:
    for name, offset, magic in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return PhotoError(FailureReason.UNSUPPORTED_IMAGE, Stage.DECODE, f"the video is {name}, not MP4")
    return PhotoError(FailureReason.NOT_AN_IMAGE, Stage.DECODE, "the file fetched as a video is no video")


def _corrupt(detail: str) -> PhotoError:
    return PhotoError(FailureReason.CORRUPT_IMAGE, Stage.DECODE, detail)


def _truncated() -> PhotoError:
    return PhotoError(FailureReason.TRUNCATED_IMAGE, Stage.DECODE, "the MP4 ends within a box")

"""The segments of a JPEG file: which there are, and the file without those that are no part of the picture."""

import re
import typing

SOI, EOI, SOS, DRI, COM = 0xD8, 0xD9, 0xDA, 0xDD, 0xFE
APP0, APP1, APP14, APP15 = 0xE0, 0xE1, 0xEE, 0xEF
END = b"\xff\xd9"
MAX_CONTENT_BYTES = 65_533

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends compressed data: no stuffed zero, no restart, no fill byte."""

_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xfe])")


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF}


class Segment(typing.NamedTuple):
    """One segment.

    Attributes:
        marker: its second byte.
        data: all its bytes, marker and length included; those of a scan with its compressed data.
    """

    marker: int
    data: bytes

    @property
    def is_metadata(self) -> bool:
        """Whether it says nothing that a decoder needs; JFIF and Adobe's say how colours are stored."""
        if self.marker == APP0:
            return self.data[4:9] != b"JFIF\0"
        if self.marker == APP14:
            return self.data[4:9] != b"Adobe"
        return self.marker == COM or APP0 <= self.marker <= APP15


def read_segments(data: bytes) -> list[Segment]:
    """Cuts a JPEG file up to its first end marker; bytes between segments and after the end are left out.

    Raises:
        ValueError: it ends within a segment, or has no end marker.
    """
    segments = whole_segments(data)
    if segments[-1].marker != EOI:
        raise ValueError("it ends within a segment, or has no end marker")
    return segments


def whole_segments(data: bytes) -> list[Segment]:
    """Returns what :func:`read_segments` does, of a file that is cut the segments before that in which it ends."""
    segments, place = [Segment(SOI, data[:2])], 2
    while (found := _MARKER.search(data, place)) is not None:
        marker, start = found[1][0], found.end() - 2
        if marker == EOI:
            segments.append(Segment(EOI, data[start : start + 2]))
            break
        place = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == SOS:
            scan_end = _SCAN_END.search(data, place)
            place = scan_end.start() if scan_end else len(data)
        if place > len(data):
            break
        segments.append(Segment(marker, data[start:place]))
    return segments


def is_lossless(data: bytes) -> bool:
    """Tells whether a JPEG file's frame, the first one, is of one of the lossless processes."""
    place = 2
    while (found := _MARKER.search(data, place)) is not None and found[1][0] not in (SOS, EOI):
        if found[1][0] in _FRAMES:
            return found[1][0] in _LOSSLESS_FRAMES
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return False


def picture_alone(data: bytes) -> bytes:
    """Returns the JPEG file without metadata, and without what lies between its segments or after them.

    Raises:
        ValueError: it ends within a segment, or has no end marker.
    """
    return b"".join(segment.data for segment in read_segments(data) if not segment.is_metadata)


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Puts EXIF into a JPEG file that has none; what is too long for a segment is left out.

    Args:
        data: the file.
        exif: a TIFF structure; where it is empty the file stays as it is.
    """
    content = b"Exif\0\0" + exif
    if not exif or len(content) > MAX_CONTENT_BYTES:
        return data
    place = 4 + int.from_bytes(data[4:6], "big") if data[3] == APP0 else 2
    return data[:place] + bytes((0xFF, APP1)) + (len(content) + 2).to_bytes(2, "big") + content + data[place:]

"""MP4 files as small as they can be: boxes alone, whose contents no decoder would take."""

import random
import struct


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def small_mp4(number: int, size_bytes: int = 1000) -> bytes:
    """An MP4 of which so many bytes are content, which differs from number to number."""
    brand = box(b"ftyp", b"isom" + bytes(4) + b"isommp42")
    return brand + box(b"mdat", random.Random(number).randbytes(size_bytes))

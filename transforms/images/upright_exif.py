"""EXIF that says upright: one value is changed in place, so that nothing else that it points to moves."""

import struct

ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12


def upright_exif(exif: bytes) -> bytes:
    """Returns EXIF whose orientation, if it has one, is 1; nothing of what cannot be read.

    Args:
        exif: a TIFF structure: byte order, 42, offset of the first directory.

    Example:
        >>> turned = b"MM\\0*\\0\\0\\0\\x08\\0\\x01\\x01\\x12\\0\\x03\\0\\0\\0\\x01\\0\\x06\\0\\0\\0\\0\\0\\0"
        >>> upright_exif(turned)[18:20]
        b'\\x00\\x01'
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return b""
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        changed = bytearray(exif)
        for place in range(directory + 2, directory + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind = struct.unpack_from(f"{order}HH", exif, place)
            if tag == ORIENTATION_TAG:
                struct.pack_into(f"{order}HHIHH", changed, place, tag, _SHORT, 1, 1, 0)
    except struct.error:
        return b""
    return bytes(changed)

"""The file in a member of a zip, whatever its method: never more of it is unpacked than it is said to have."""

import bz2
import lzma
import struct
import zipfile
import zlib

_HEADER_BYTES, _LENGTHS_AT = 30, 26
"""Of a member's own header, less name and extras; and where the lengths of these two stand in it."""

MAX_HEADER_BYTES = _HEADER_BYTES + 2 * 0xFFFF
"""With name and extras."""

_LZMA_PROPERTIES = struct.Struct("<xxHBI")
_MIN_DICTIONARY_BYTES = 4096


def data_of(record: bytes, packed_bytes: int) -> bytes:
    """Returns the data of a member, less the header before it; raises BadZipFile if that is cut."""
    try:
        begin = _HEADER_BYTES + sum(struct.unpack_from("<HH", record, _LENGTHS_AT))
    except struct.error as error:
        raise zipfile.BadZipFile("the header is cut") from error
    return record[begin : begin + packed_bytes]


def unpack(data: bytes, method: int, size_bytes: int, crc: int) -> bytes:
    """Returns a file; takes memory for it and one byte more, whatever the data would unpack to.

    Args:
        data: of the member, packed.
        method: of compression, as zip numbers it.
        size_bytes, crc: of the file, as the zip states them.

    Raises:
        BadZipFile: the data is damaged, not what the zip says of it, or packed by an unknown method.
    """
    try:
        file = _unpack(data, method, size_bytes)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error
    if len(file) != size_bytes or zlib.crc32(file) != crc:
        raise zipfile.BadZipFile("size or CRC is not what the zip says")
    return file


def _unpack(data: bytes, method: int, size_bytes: int) -> bytes:
    if method == zipfile.ZIP_STORED:
        return data
    if method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size_bytes + 1)
    if method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(data, size_bytes + 1)
    if method == zipfile.ZIP_LZMA:
        return _unpack_lzma(data, size_bytes)
    raise ValueError(f"method {method}")


def _unpack_lzma(data: bytes, size_bytes: int) -> bytes:
    """Reads the properties before the stream; a dictionary beyond the file's size would only take memory."""
    length, bits, dictionary_bytes = _LZMA_PROPERTIES.unpack_from(data)
    chain = {
        "id": lzma.FILTER_LZMA1,
        "lc": bits % 9,
        "lp": bits // 9 % 5,
        "pb": bits // 45,
        "dict_size": max(_MIN_DICTIONARY_BYTES, min(dictionary_bytes, size_bytes)),
    }
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
    return stream.decompress(data[4 + length :], size_bytes + 1)

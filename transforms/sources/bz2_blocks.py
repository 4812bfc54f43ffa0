"""Blocks of a bzip2 file, found and decoded alone by ranges of its compressed bytes.

A bzip2 stream is `BZh` and a level, blocks that begin with a 48-bit magic at any bit, and an end marker with a
checksum; a file is one stream or several. A range of compressed bytes owns the blocks whose magic begins in it, so
that any partition of a file into ranges decodes every block once. The 48 bits of a magic also occur by chance: they
are a border only if the block before them ends exactly there with a right checksum.

Each block is framed as a stream of its own for the `bz2` module, which is nearly all of the cost: about 1.05 times the
CPU of `bz2.open`, 1.3 times that of indexed_bzip2. indexed_bzip2 1.7.0 (and rapidgzip 0.16.1 alike) is not used because
it ends the process on a block with a run coded in 31 symbols; fbz 0.1.13 refuses such a block, but only comes to 1.18.
"""

import bz2
import itertools
import typing

from transforms.sources.bz2_bits import (
    BLOCK_MAGIC,
    CRC_BITS,
    END_MAGIC,
    FOOTER_BITS,
    MAGIC_BITS,
    MAX_BLOCK_BITS,
    STREAM_HEADERS,
    CorruptInputError,
    ReadAt,
    Window,
)

_MAGIC_BYTES = {magic.to_bytes(6, "big") for magic in (BLOCK_MAGIC, END_MAGIC)}
_HEADER_BYTES = 10


class Block(typing.NamedTuple):
    """One decoded block: the bit of the file at which its magic begins, and its bytes (at most 46 MB)."""

    bit_offset: int
    data: bytes


def is_bz2(head: bytes) -> bool:
    """Whether a file that begins with `head` is bzip2, by content.

    Ten bytes decide. A shorter `head` is taken as bzip2 if it holds `BZh`, a level and nothing that contradicts it,
    so that a file cut off there is reported as truncated rather than read as text.
    """
    magic = head[4:_HEADER_BYTES]
    return head[:4] in STREAM_HEADERS and any(known.startswith(magic) for known in _MAGIC_BYTES)


def read_blocks(read_at: ReadAt, size: int, start: int, stop: int, *, name: str) -> typing.Iterator[Block]:
    """Decodes the blocks that the compressed bytes `[start, stop)` own, then those that follow, one at a time.

    A reader that needs only its own stops at the first block with `bit_offset // 8 >= stop`. A range that owns no
    block gives none, except that the range at 0 always goes on to the file's first. What follows an owned block is
    checked before the block is given: the next block's magic, or the end marker and then a further stream or the end
    of the file. Every block's checksum is verified, and that of a stream if it is read from its start.
    Holds about 5 MiB of compressed bytes and one decoded block.

    Args:
        read_at: Reads the compressed bytes.
        size: The file's length in bytes.
        start: First byte of the range.
        stop: End of the range, in bytes.
        name: The file's name for messages.

    Raises:
        CorruptInputError: The file is no bzip2, is truncated, damaged, or has other bytes after its last stream.
    """
    window = Window(read_at, size, name)
    if start == 0:
        first = _next_block(window, _stream_start(window, 0), 0)
    else:
        first = _first_border(window, start * 8, stop * 8)
    # A stream's own checksum can be verified only by who reads the stream from its start.
    stream_crc = 0 if first is not None and window.starts_stream(first) else None
    while first is not None:
        data, end = _decode_block(window, first)
        if stream_crc is not None:
            stream_crc = _add_to_stream_crc(stream_crc, window.number(first + MAGIC_BITS, CRC_BITS))
        following = _next_block(window, end, stream_crc)
        yield Block(first, data)
        if following != end:
            stream_crc = 0
        first = following


def read_block(read_at: ReadAt, size: int, bit_offset: int, *, name: str) -> bytes:
    """Decodes the one block whose magic begins at `bit_offset`.

    Raises:
        CorruptInputError: No undamaged block begins there.
    """
    window = Window(read_at, size, name)
    if bit_offset + MAGIC_BITS > window.size_bits or window.number(bit_offset, MAGIC_BITS) != BLOCK_MAGIC:
        raise _corrupt(name, bit_offset, "no bzip2 block begins")
    return _decode_block(window, bit_offset)[0]


def _corrupt(name: str, bit: int, problem: str) -> CorruptInputError:
    return CorruptInputError(f"{name}: {problem} at bit {bit} (byte {bit // 8}); download the file again")


def _add_to_stream_crc(stream_crc: int, block_crc: int) -> int:
    return ((stream_crc << 1 | stream_crc >> 31) & 0xFFFFFFFF) ^ block_crc


def _first_border(window: Window, start: int, stop: int) -> int | None:
    """The bit of the first block whose magic begins in the bits [start, stop), None if there is none.

    The nearest magic before the candidate from which a block decodes settles it: that block either ends before the
    candidate, which then stands as a border, or spans it.
    """
    candidate = next(window.magics(start, stop, (BLOCK_MAGIC,)), None)
    if candidate is None:
        return None
    for before in window.block_magics_before(candidate):
        try:
            _, end = _decode_block(window, before)
        except CorruptInputError:
            continue
        if end <= candidate:
            break
        border = _next_block(window, end, None)
        return border if border is not None and border < stop else None
    return candidate


def _next_block(window: Window, bit: int, stream_crc: int | None) -> int | None:
    """The bit of the first block at or after `bit`, where a block or an end marker begins; None at the file's end."""
    while window.number(bit, MAGIC_BITS) == END_MAGIC:
        footer_end = (bit + FOOTER_BITS + 7) // 8
        if footer_end > window.size:
            raise _corrupt(window.name, bit, "the file is truncated: it ends inside the end marker")
        if stream_crc is not None and window.number(bit + MAGIC_BITS, CRC_BITS) != stream_crc:
            raise _corrupt(window.name, bit, "the stream's checksum is wrong in the end marker")
        if footer_end == window.size:
            return None
        bit, stream_crc = _stream_start(window, footer_end), 0
    return bit


def _stream_start(window: Window, offset: int) -> int:
    """The bit at which the first block or the end marker of the stream at byte `offset` begins."""
    head = window.bytes_between(offset, min(offset + _HEADER_BYTES, window.size))
    if not is_bz2(head) and not b"BZh".startswith(head):
        raise _corrupt(window.name, offset * 8, "something that is no bzip2 stream begins")
    if len(head) < _HEADER_BYTES:
        raise _corrupt(window.name, offset * 8, "the file is truncated: it ends inside the stream that begins")
    return (offset + 4) * 8


def _decode_block(window: Window, first: int) -> tuple[bytes, int]:
    """Decodes the block at bit `first`; returns its bytes and the bit at which it ends, always a magic."""
    borders = window.magics(first + MAGIC_BITS, first + MAX_BLOCK_BITS)
    nearest = next(borders, None)
    if nearest is None:
        return _decode_past_chance_magics(window, first, borders)
    data = _decode_alone(window.framed(first, nearest))
    if data is not None:
        return data, nearest
    return _decode_past_chance_magics(window, first, itertools.chain([nearest], borders))


def _decode_alone(frame: bytes) -> bytes | None:
    """The bytes of a framed block; None unless it ends exactly where the frame's end marker begins."""
    decoder = bz2.BZ2Decompressor()
    try:
        data = decoder.decompress(frame)
    except OSError:
        return None
    return data if decoder.eof else None


def _decode_past_chance_magics(window: Window, first: int, borders: typing.Iterator[int]) -> tuple[bytes, int]:
    """Decodes a block that does not end at the nearest magic, or tells why it cannot be decoded.

    The decoder gives nothing before it has read a block whole: as long as it is silent, the magics passed are data.
    """
    probe = bz2.BZ2Decompressor()
    probe.decompress(b"BZh9")
    fed = first
    limit = min(first + MAX_BLOCK_BITS, window.size_bits)
    try:
        for border in borders:
            piece = window.shifted(fed, border)
            fed += len(piece) * 8
            if not probe.decompress(piece):
                continue
            data = _decode_alone(window.framed(first, border))
            if data is None:
                break
            return data, border
        else:
            probe.decompress(window.shifted(fed, limit - (limit - fed) % 8))
            if limit == window.size_bits:
                raise _corrupt(window.name, first, "the file is truncated: it ends inside the bzip2 block that begins")
    except OSError as error:
        raise _corrupt(window.name, first, "damaged data in or right after the bzip2 block that begins") from error
    raise _corrupt(window.name, first, "damaged data in or right after the bzip2 block that begins")

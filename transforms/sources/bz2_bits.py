"""The bits of a bzip2 file around the place being read, and the magics in them.

A block and an end marker each begin with 48 known bits, at any bit of the file. The same bits also occur by chance:
what is found here is a candidate, and only decoding tells.
"""

import collections
import typing

import numpy as np

from transforms.sources.input_files import InputError

ReadAt = typing.Callable[[int, int], bytes]
"""`read_at(offset, length)`: exactly `length` bytes at `offset`, fewer only at the end of the file."""

BLOCK_MAGIC = 0x314159265359
END_MAGIC = 0x177245385090
MAGIC_BITS = 48
CRC_BITS = 32
FOOTER_BITS = MAGIC_BITS + CRC_BITS
STREAM_HEADERS = {b"BZh%d" % level for level in range(1, 10)}
MAX_BLOCK_BITS = 8 * 2_400_000
"""No block is longer: 900,000 symbols of at most 20 bits, and the tables before them."""

_CHUNK_BYTES = 1 << 20
_CHUNKS_KEPT = 5
_OVERLAP_BYTES = 7


class CorruptInputError(InputError):
    """An input file is truncated or damaged; the message names the file, the place and the remedy."""


class _Chunk(typing.NamedTuple):
    data: bytes
    magics: list[tuple[int, int]]


class Window:
    """The bits of a file around the place being read: a few chunks, each with the magics that begin in it."""

    def __init__(self, read_at: ReadAt, size: int, name: str) -> None:
        self.size = size
        self.size_bits = size * 8
        self.name = name
        self._read_at = read_at
        self._chunks: collections.OrderedDict[int, _Chunk] = collections.OrderedDict()

    def bytes_between(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), which lie within the file."""
        parts = []
        while start < stop:
            index, skipped = divmod(start, _CHUNK_BYTES)
            part = self._chunk(index).data[skipped : min(skipped + stop - start, _CHUNK_BYTES)]
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def shifted(self, first: int, stop: int) -> bytes:
        """The bits [first, stop) from a byte border on; the last byte is filled up with the bits that follow."""
        count = (stop - first + 7) // 8
        shift = first % 8
        data = self.bytes_between(first // 8, min(first // 8 + count + 1, self.size))
        if shift == 0:
            return data[:count]
        octets = np.frombuffer(data.ljust(count + 1, b"\0"), np.uint8)
        return ((octets[:-1] << shift) | (octets[1:] >> (8 - shift))).tobytes()

    def number(self, first: int, bits: int) -> int:
        """The `bits` bits at `first` as a number."""
        return int.from_bytes(self.shifted(first, first + bits), "big") >> (-bits % 8)

    def framed(self, first: int, stop: int) -> bytes:
        """The block in the bits [first, stop) as a stream of its own: its checksum is then the stream's."""
        body = self.shifted(first, stop)
        whole, spare = divmod(stop - first, 8)
        tail = body[whole] >> (8 - spare) if spare else 0
        footer = tail << FOOTER_BITS | END_MAGIC << CRC_BITS | int.from_bytes(body[6:10], "big")
        footer_bits = spare + FOOTER_BITS
        padding = -footer_bits % 8
        return b"".join((b"BZh9", body[:whole], (footer << padding).to_bytes((footer_bits + padding) // 8, "big")))

    def starts_stream(self, bit: int) -> bool:
        """Whether the block at `bit` follows the header of a stream."""
        return bit % 8 == 0 and self.bytes_between(bit // 8 - 4, bit // 8) in STREAM_HEADERS

    def magics(self, first: int, stop: int, kinds: tuple[int, ...] = (BLOCK_MAGIC, END_MAGIC)) -> typing.Iterator[int]:
        """The bits in [first, stop) at which a magic of these kinds begins, in order; by chance ones included."""
        stop = min(stop, self.size_bits)
        for index in range(first // 8 // _CHUNK_BYTES, -(-stop // 8 // _CHUNK_BYTES)):
            for bit, magic in self._chunk(index).magics:
                if first <= bit < stop and magic in kinds:
                    yield bit

    def block_magics_before(self, bit: int) -> typing.Iterator[int]:
        """The bits before `bit` at which a block may begin that reaches it, nearest first."""
        first = max(bit - MAX_BLOCK_BITS, 0)
        for index in range(bit // 8 // _CHUNK_BYTES, first // 8 // _CHUNK_BYTES - 1, -1):
            for found, magic in reversed(self._chunk(index).magics):
                if first <= found < bit and magic == BLOCK_MAGIC:
                    yield found

    def _chunk(self, index: int) -> _Chunk:
        chunk = self._chunks.get(index)
        if chunk is None:
            start = index * _CHUNK_BYTES
            length = min(_CHUNK_BYTES + _OVERLAP_BYTES, self.size - start)
            data = self._read_at(start, length)
            if len(data) != length:
                raise CorruptInputError(f"{self.name}: the file ends before byte {start + length}; was it replaced?")
            while len(self._chunks) >= _CHUNKS_KEPT:
                self._chunks.popitem(last=False)
            chunk = self._chunks[index] = _Chunk(data, _find_magics(data, start * 8))
        return chunk


def _magic_pairs() -> dict[int, list[tuple[int, int]]]:
    """For each pair of whole bytes inside a magic: how many bits before the pair it begins, and which magic it is.

    A magic holds at least five whole bytes in a row at any alignment, so that exactly one of the first four pairs
    in them begins at a multiple of four bytes: only those need a look.
    """
    pairs: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
    for magic in (BLOCK_MAGIC, END_MAGIC):
        for lead in range(8):
            for place in range(0, 32, 8):
                bits = magic >> (MAGIC_BITS - 16 - lead - place) & 0xFFFF
                pairs[bits].append((lead + place, magic))
    return dict(pairs)


_PAIRS = _magic_pairs()
_IS_PAIR = np.zeros(1 << 16, np.bool_)
_IS_PAIR[list(_PAIRS)] = True


def _find_magics(data: bytes, base_bit: int) -> list[tuple[int, int]]:
    """The (bit, magic) of all magics that begin in a chunk's bytes before its overlap, in order."""
    padded = data + bytes(-len(data) % 4)
    pairs = np.frombuffer(padded, ">u2")[::2]
    found = []
    for hit in np.flatnonzero(np.take(_IS_PAIR, pairs)).tolist():
        for lead, magic in _PAIRS[int(pairs[hit])]:
            bit = hit * 32 - lead
            if 0 <= bit < _CHUNK_BYTES * 8 and _holds(data, bit, magic):
                found.append((base_bit + bit, magic))
    return sorted(found)


def _holds(data: bytes, bit: int, magic: int) -> bool:
    octets = data[bit // 8 : bit // 8 + _OVERLAP_BYTES]
    spare = len(octets) * 8 - bit % 8 - MAGIC_BITS
    return spare >= 0 and int.from_bytes(octets, "big") >> spare & ((1 << MAGIC_BITS) - 1) == magic

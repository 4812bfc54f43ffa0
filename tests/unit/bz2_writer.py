"""A writer of bzip2 blocks whose bits a test can choose."""

import bz2
import collections
import typing

MAX_SELECTORS = 18_002
_GROUPS = 6
_END_OF_STREAM = 0x177245385090


def bits_of(number: int, count: int) -> str:
    return format(number, f"0{count}b")


def block_of(data: bytes) -> str:
    """The bits of the one block to which the standard library compresses data."""
    bits = "".join(f"{octet:08b}" for octet in bz2.compress(data))
    end = max(bits.rfind(bits_of(_END_OF_STREAM, 48), 0, len(bits) - 32 - padding) for padding in range(8))
    return bits[32:end]


def stream(blocks: typing.Iterable[str], level: int = 9) -> bytes:
    """One stream of these blocks, with the right checksum."""
    bits, crc = "", 0
    for block in blocks:
        bits += block
        crc = ((crc << 1 | crc >> 31) & 0xFFFFFFFF) ^ int(block[48:80], 2)
    bits += bits_of(_END_OF_STREAM, 48) + bits_of(crc, 32)
    bits += "0" * (-len(bits) % 8)
    return b"BZh%d" % level + int(bits, 2).to_bytes(len(bits) // 8, "big")


def encode_block(data: bytes, planted: str) -> str:
    """Encodes a short text as one block with `planted` bits in its list of selectors.

    A selector is one to six ones-and-a-zero long, all tables are equal so that any selector will do, and a block may
    list more selectors than it uses: bits without a run of six ones can stand there.
    """
    column, pointer = _burrows_wheeler(_run_lengths(data))
    alphabet = sorted(set(column))
    symbols = _move_to_front(column, alphabet)
    codes = _codes(len(alphabet) + 2)
    selectors = _selectors(planted, -(-len(symbols) // 50))
    crc = block_of(data)[48:80]
    head = bits_of(0x314159265359, 48) + crc + "0" + bits_of(pointer, 24) + _symbol_map(alphabet)
    tables = bits_of(_GROUPS, 3) + bits_of(selectors.count("0"), 15) + selectors + _table(codes) * _GROUPS
    return head + tables + "".join(codes[symbol] for symbol in symbols)


def overlong_run() -> str:
    """A block with a run coded in 31 symbols: its length, added to what precedes it, passes 32 bits and looks small."""
    codes = _codes(4)
    symbols = [2, 2, *[1] * 31, 3]
    head = bits_of(0x314159265359, 48) + bits_of(0, 32) + "0" + bits_of(0, 24) + _symbol_map([97, 98])
    tables = bits_of(_GROUPS, 3) + bits_of(1, 15) + "0" + _table(codes) * _GROUPS
    return head + tables + "".join(codes[symbol] for symbol in symbols)


def _selectors(planted: str, needed: int) -> str:
    assert "1" * _GROUPS not in planted
    selectors = "0" * needed + planted + ("" if planted.endswith("0") else "0")
    assert selectors.count("0") <= MAX_SELECTORS
    return selectors


def _run_lengths(data: bytes) -> bytes:
    coded, run = bytearray(), 0
    for i, octet in enumerate(data):
        run = run + 1 if i and data[i - 1] == octet else 1
        assert run < 4, "runs of four need a count"
        coded.append(octet)
    return bytes(coded)


def _burrows_wheeler(data: bytes) -> tuple[bytes, int]:
    order = sorted(range(len(data)), key=lambda i: data[i:] + data[:i])
    return bytes(data[i - 1] for i in order), order.index(0)


def _move_to_front(column: bytes, alphabet: list[int]) -> list[int]:
    recent, symbols, zeros = collections.deque(alphabet), [], 0
    for octet in column:
        place = recent.index(octet)
        if place == 0:
            zeros += 1
            continue
        symbols += [*_zero_run(zeros), place + 1]
        zeros = 0
        recent.remove(octet)
        recent.appendleft(octet)
    return [*symbols, *_zero_run(zeros), len(alphabet) + 1]


def _zero_run(count: int) -> list[int]:
    symbols = []
    while count:
        symbols.append(0 if count % 2 else 1)
        count = (count - 1) // 2
    return symbols


def _codes(count: int) -> list[str]:
    """A complete prefix code of codes as equal in length as can be."""
    length = (count - 1).bit_length()
    short = (1 << length) - count
    return [bits_of(i, length - 1) if i < short else bits_of(i + short, length) for i in range(count)]


def _table(codes: list[str]) -> str:
    bits, length = bits_of(len(codes[0]), 5), len(codes[0])
    for code in codes:
        bits += "10" * (len(code) - length) + "0"
        length = len(code)
    return bits


def _symbol_map(alphabet: list[int]) -> str:
    rows = sorted({octet // 16 for octet in alphabet})
    used = "".join("1" if row in rows else "0" for row in range(16))
    return used + "".join("1" if row * 16 + i in alphabet else "0" for row in rows for i in range(16))

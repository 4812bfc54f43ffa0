"""Python's own hash of a text, the same in every process: that of a Python started with ``PYTHONHASHSEED=0``.

It is SipHash-1-3 with a key of zeros over the text as Python has it in memory (PEP 456; Python 3.11 and later).
"""

import sys

_MASK = (1 << 64) - 1
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_FINAL_ROUNDS = 3
_LAST_LATIN_1, _LAST_OF_TWO_BYTES = 0xFF, 0xFFFF

_State = tuple[int, int, int, int]


def stable_hash(text: str) -> int:
    """Hashes a text to 64 bits.

    Returns:
        The bits of Python's hash, as an unsigned number.

    Example:
        >>> hex(stable_hash("a dog"))
        '0xc663c8db87fa6327'
    """
    if not text:
        return 0
    data = _memory(text)
    whole = len(data) & ~7
    blocks = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    blocks.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    state = _START
    for block in blocks:
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _mix((v0, v1, v2, v3 ^ block))
        state = (v0 ^ block, v1, v2, v3)
    state = (state[0], state[1], state[2] ^ 0xFF, state[3])
    for _ in range(_FINAL_ROUNDS):
        state = _mix(state)
    hashed = state[0] ^ state[1] ^ state[2] ^ state[3]
    return _MASK - 1 if hashed == _MASK else hashed


def _memory(text: str) -> bytes:
    """Returns the text as Python stores it: the fewest of 1, 2 or 4 bytes a character that hold all of them."""
    widest = ord(max(text))
    if widest <= _LAST_LATIN_1:
        return text.encode("latin-1")
    encoding = "utf-16" if widest <= _LAST_OF_TWO_BYTES else "utf-32"
    return text.encode(f"{encoding}-{sys.byteorder[0]}e", errors="surrogatepass")


def _mix(state: _State) -> _State:
    v0, v1, v2, v3 = state
    v0 = (v0 + v1) & _MASK
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotate(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotate(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK

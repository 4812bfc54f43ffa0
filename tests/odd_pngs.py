"""Odd PNG files: all depths and colours, and chunks that are wrong, huge, missing or out of place."""

import itertools
import struct
import zlib

import numpy as np
from PIL import Image

from tests.generated_photo import Named, saved

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def odd_pngs() -> Named:
    yield from itertools.chain(_pngs(), _odd_chunks(), _bombs(), _odd_headers(), _checksums(), _streams(), _apngs())


def chunk(kind: bytes, content: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *between: bytes, interlace: int = 0, end: bool = True
) -> bytes:
    """A PNG file of those filtered rows; ``between`` are chunks in front of them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return (
        PNG_HEAD
        + head
        + b"".join(between)
        + chunk(b"IDAT", zlib.compress(rows))
        + (chunk(b"IEND", b"") if end else b"")
    )


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _rows(width: int, height: int, depth: int, colour: int, interlace: int) -> bytes:
    random = np.random.default_rng(depth * 10 + colour)
    passes = PASSES if interlace else ((0, 0, 1, 1),)
    rows = b""
    for left, top, across, down in passes:
        columns, lines = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0:
            line_bytes = (columns * CHANNELS[colour] * depth + 7) // 8
            rows += b"".join(bytes((i % 5,)) + random.bytes(line_bytes) for i in range(max(0, lines)))
    return rows


def _pngs() -> Named:
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    palette = chunk(b"PLTE", np.random.default_rng(0).bytes(768))
    for colour, interlace, (width, height) in itertools.product(depths, (0, 1), ((1, 1), (3, 9), (37, 23))):
        for depth in depths[colour]:
            entries = [chunk(b"PLTE", palette[8 : 8 + 3 * 2**depth])] if colour == 3 else []
            rows = _rows(width, height, depth, colour, interlace)
            name = f"png {width}x{height} colour {colour} depth {depth} interlace {interlace}"
            yield name, png(width, height, depth, colour, rows, *entries, interlace=interlace)
            transparent = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\0\x80\xff"[: 2**depth]}.get(colour)
            if transparent:
                more = [*entries, chunk(b"tRNS", transparent)]
                yield f"{name} tRNS", png(width, height, depth, colour, rows, *more, interlace=interlace)


ROWS = _rows(37, 23, 8, 2, 0)
SHAPE = (37, 23, 8, 2, ROWS)
GOOD = png(*SHAPE)
IDAT = GOOD.index(b"IDAT")


def _odd_chunks() -> Named:
    yield "png gAMA", png(*SHAPE, chunk(b"gAMA", struct.pack(">I", 100_000)))
    yield "png gAMA 0", png(*SHAPE, chunk(b"gAMA", bytes(4)))
    yield "png gAMA short", png(*SHAPE, chunk(b"gAMA", b"\1"))
    yield "png cHRM", png(*SHAPE, chunk(b"cHRM", struct.pack(">8I", *[31_270] * 8)))
    yield "png cHRM short", png(*SHAPE, chunk(b"cHRM", b"\1\2"))
    yield "png sRGB empty", png(*SHAPE, chunk(b"sRGB", b""))
    yield "png pHYs empty", png(*SHAPE, chunk(b"pHYs", b""))
    yield "png iCCP rubbish", png(*SHAPE, chunk(b"iCCP", b"name\0\0rubbish"))
    yield "png iCCP empty", png(*SHAPE, chunk(b"iCCP", b""))
    yield "png iCCP of another method", png(*SHAPE, chunk(b"iCCP", b"name\0\7" + zlib.compress(b"x")))
    yield "png tEXt of 5 MB", png(*SHAPE, chunk(b"tEXt", b"name\0" + b"x" * 5_000_000))
    yield "png empty tRNS", png(*SHAPE, chunk(b"tRNS", b""))
    yield "png unknown critical", png(*SHAPE, chunk(b"ABCD", b"?"))
    yield "png chunk too long", GOOD[: IDAT - 4] + b"\x7f\xff\xff\xff" + GOOD[IDAT:]


def _bombs() -> Named:
    bomb = zlib.compress(bytes(300_000_000), 9)
    yield "png zTXt bomb", png(*SHAPE, chunk(b"zTXt", b"name\0\0" + bomb))
    yield "png iTXt bomb", png(*SHAPE, chunk(b"iTXt", b"name\0\1\0\0\0" + bomb))
    yield "png iCCP bomb", png(*SHAPE, chunk(b"iCCP", b"name\0\0" + bomb))
    yield "png of 300 zTXt", png(*SHAPE, *[chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(900_000)))] * 300)
    yield "png rows bomb", png(37, 23, 8, 2, ROWS + bytes(300_000_000))


def _odd_headers() -> Named:
    yield "png rows too few", png(37, 23, 8, 2, ROWS[:-50])
    yield "png rows none", png(37, 23, 8, 2, b"")
    yield "png rows too many", png(37, 23, 8, 2, ROWS + b"more")
    yield "png filter 9", png(37, 23, 8, 2, b"\x09" + ROWS[1:])
    yield "png size 0", png(0, 23, 8, 2, ROWS)
    yield "png depth 3", png(37, 23, 3, 2, ROWS)
    yield "png colour 5", png(37, 23, 8, 5, ROWS)
    yield "png colour 3 without palette", png(37, 23, 8, 3, _rows(37, 23, 8, 3, 0))
    yield "png colour 3 short palette", png(37, 23, 8, 3, _rows(37, 23, 8, 3, 0), chunk(b"PLTE", b"\1\2\3" * 5))
    yield "png colour 3 odd palette", png(37, 23, 8, 3, _rows(37, 23, 8, 3, 0), chunk(b"PLTE", b"\1\2\3\4"))
    yield (
        "png colour 3 long tRNS",
        png(37, 23, 1, 3, _rows(37, 23, 1, 3, 0), chunk(b"PLTE", b"\1\2\3" * 2), chunk(b"tRNS", bytes(256))),
    )
    yield "png interlace 2", png(*SHAPE, interlace=2)
    yield "png without end", png(*SHAPE, end=False)
    yield "png with junk behind", GOOD + b"junk" * 99
    yield "png without IDAT", GOOD[: IDAT - 4] + chunk(b"IEND", b"")
    yield "png IHDR twice", GOOD[:33] + GOOD[8:]


def _checksums() -> Named:
    yield "png IHDR bad crc", GOOD[:29] + b"\0\0\0\0" + GOOD[33:]
    end = GOOD.index(b"IEND")
    yield "png IDAT bad crc", GOOD[: end - 8] + b"\0\0\0\0" + GOOD[end - 4 :]
    yield "png IDAT bad adler", png_of_stream(37, 23, zlib.compress(ROWS)[:-4] + bytes(4))
    yield "png IDAT without adler", png_of_stream(37, 23, zlib.compress(ROWS)[:-4])
    yield "png IDAT raw deflate", png_of_stream(37, 23, zlib.compress(ROWS)[2:-4])
    flipped = bytearray(zlib.compress(ROWS))
    flipped[len(flipped) // 2] ^= 4
    yield "png IDAT flipped with right crc", png_of_stream(37, 23, bytes(flipped))
    yield "png IEND bad crc", GOOD[:-4] + b"\0\0\0\0"
    yield "png text bad crc", png(*SHAPE, chunk(b"tEXt", b"name\0text", 0))


def _streams() -> Named:
    stream = zlib.compress(ROWS)
    bytewise = b"".join(chunk(b"IDAT", stream[i : i + 1]) for i in range(len(stream)))
    yield "png IDAT of one byte each", GOOD[: IDAT - 4] + bytewise + chunk(b"IEND", b"")
    parts = chunk(b"IDAT", stream[:200]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", stream[200:])
    yield "png IDATs apart", GOOD[: IDAT - 4] + parts + chunk(b"IEND", b"")
    empty = chunk(b"IDAT", b"") * 3
    yield "png empty IDATs first", GOOD[: IDAT - 4] + empty + chunk(b"IDAT", stream) + empty + chunk(b"IEND", b"")


def _apngs() -> Named:
    red, blue = (Image.new("RGBA", (20, 20), c) for c in ((255, 0, 0, 128), (0, 0, 255, 255)))
    apng = saved(red, "PNG", save_all=True, append_images=[blue], default_image=False, duration=9)
    yield "apng", apng
    yield "apng with a default image", saved(red, "PNG", save_all=True, append_images=[blue], default_image=True)
    yield "apng without its second", apng[: apng.rindex(b"fcTL") - 4] + chunk(b"IEND", b"")
    yield "apng of no frames", png(*SHAPE, chunk(b"acTL", bytes(8)))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 99, 99, 0, 0, 1, 1, 0, 0))
    yield "apng with a frame too large", png(*SHAPE, chunk(b"acTL", struct.pack(">II", 1, 0)), frame)


def png_of_stream(width: int, height: int, stream: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG_HEAD + head + chunk(b"IDAT", stream) + chunk(b"IEND", b"")

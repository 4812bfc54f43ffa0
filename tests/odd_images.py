"""Odd image files by name: made here, small, and each with something that is rare or wrong about it."""

import itertools
import struct

import numpy as np
from PIL import Image

from tests.generated_photo import SIDES, Named, photo, saved
from tests.odd_jpegs import odd_jpegs
from tests.odd_pngs import odd_pngs, png


def odd_images() -> dict[str, bytes]:
    """All of them. Equal library versions give equal bytes."""
    return dict(
        itertools.chain(
            odd_jpegs(),
            odd_pngs(),
            _gifs(),
            _bitmaps(),
            _modern(),
            _tiffs(),
            _netpbm(),
            _rare(),
            _no_images(),
            _bombs(),
        )
    )


def _gifs() -> Named:
    good = saved(photo(64, 48, "P"), "GIF")
    frames = [photo(64, 48), photo(64, 48).transpose(Image.Transpose.ROTATE_180)]
    yield "gif", good
    yield "gif grey", saved(photo(64, 48, "L"), "GIF")
    yield "gif 1x1", saved(photo(1, 1, "P"), "GIF")
    yield "gif interlaced", saved(photo(64, 48, "P"), "GIF", interlace=1)
    yield "gif of two", saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield (
        "gif of two, transparent",
        saved(photo(64, 48, "RGBA"), "GIF", save_all=True, append_images=frames[1:], disposal=2),
    )
    yield "gif transparent", saved(photo(64, 48, "P"), "GIF", transparency=9)
    palette, pixels = bytes(range(48)) * 16, _lzw(bytes(i % 256 for i in range(20 * 10)))
    for name, screen, frame, flags, local in (
        ("local palette", (20, 10), (0, 0, 20, 10), 0x00, 0x87), ("no palette", (20, 10), (0, 0, 20, 10), 0x00, 0),
        ("offset", (40, 30), (5, 6, 20, 10), 0xF7, 0), ("beyond the screen", (20, 10), (15, 5, 20, 10), 0xF7, 0),
        ("far beyond the screen", (20, 10), (60_000, 60_000, 20, 10), 0xF7, 0),
        ("empty screen", (0, 0), (0, 0, 20, 10), 0xF7, 0),
        ("empty frame", (20, 10), (0, 0, 0, 0), 0xF7, 0), ("huge frame", (20, 10), (0, 0, 65_535, 65_535), 0xF7, 0),
        ("huge screen", (65_535, 65_535), (0, 0, 20, 10), 0xF7, 0),
        ("frame too high", (20, 10), (0, 0, 20, 11), 0xF7, 0),
        ("interlaced", (20, 10), (0, 0, 20, 10), 0xF7, 0x40), ("background 255", (40, 30), (5, 6, 20, 10), 0xF7, 0x87),
    ):  # fmt: skip
        head = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, 255, 0) + (palette if flags else b"")
        image = b"," + struct.pack("<HHHHB", *frame, local) + (palette[::-1] if local & 0x80 else b"")
        yield f"gif {name}", head + image + pixels + b";"
        control = b"!\xf9\4\1\0\0\7\0"
        yield f"gif {name}, transparent", head + control + image + pixels + b";"
    yield "gif without frames", good[: 13 + 768] + b";"
    yield "gif without end", good[:-1]
    yield "gif code size 0", good.replace(b"\x08", b"\x00", 1)
    yield "gif comment bomb", good[: 13 + 768] + b"!\xfe" + (b"\xff" + b"x" * 255) * 40_000 + b"\0" + good[13 + 768 :]


def _lzw(pixels: bytes) -> bytes:
    """Nine bits a pixel, cleared often enough to stay at nine."""
    bits, count = 0, 0
    for i, pixel in enumerate(pixels):
        for code in (256, pixel) if i % 200 == 0 else (pixel,):
            bits |= code << count
            count += 9
    bits |= 257 << count
    packed = bits.to_bytes((count + 9 + 7) // 8, "little")
    blocks = b"".join(bytes((len(p),)) + p for p in (packed[i : i + 255] for i in range(0, len(packed), 255)))
    return b"\x08" + blocks + b"\0"


def _bitmaps() -> Named:
    for mode, size in itertools.product(("1", "L", "P", "RGB", "RGBA"), SIDES):
        data = saved(photo(*size, mode), "BMP")
        yield f"bmp {mode} {size[0]}x{size[1]}", data
    data = saved(photo(64, 48), "BMP")
    yield "bmp top down", data[:22] + struct.pack("<i", -48) + data[26:]
    yield "bmp width negative", data[:18] + struct.pack("<i", -64) + data[22:]
    yield "bmp height least", data[:22] + struct.pack("<i", -(2**31)) + data[26:]
    yield "bmp size 0", data[:18] + bytes(8) + data[26:]
    yield "bmp offset 0", data[:10] + bytes(4) + data[14:]
    yield "bmp offset beyond", data[:10] + b"\xff\xff\xff\x7f" + data[14:]
    for bits, compression in itertools.product((0, 1, 4, 8, 16, 24, 32, 64), (0, 1, 2, 3, 4, 5, 6)):
        yield (
            f"bmp {bits} bits compression {compression}",
            data[:28] + struct.pack("<HI", bits, compression) + data[34:],
        )
    for size in (12, 16, 40, 52, 56, 64, 108, 124, 200):
        yield f"bmp header of {size}", data[:14] + struct.pack("<I", size) + data[18:]
    yield "ico", saved(photo(64, 64, "RGBA"), "ICO", sizes=[(16, 16), (64, 64)])
    yield "ico of bitmaps", saved(photo(64, 64, "RGBA"), "ICO", sizes=[(16, 16), (64, 64)], bitmap_format="bmp")
    icon = bytearray(saved(photo(64, 64), "ICO", sizes=[(16, 16)]))
    yield "cursor", bytes(icon[:2]) + b"\2\0" + bytes(icon[4:])
    yield "ico of no images", b"\0\0\1\0\0\0"
    yield "ico beyond its end", bytes(icon[:18]) + b"\xff\xff\xff\x7f" + bytes(icon[22:])
    yield "ico in itself", bytes(icon[:18]) + bytes(4) + bytes(icon[22:])
    yield "ico of a jpeg", bytes(icon[:22]) + saved(photo(16, 16), "JPEG")


def _modern() -> Named:
    for mode, lossless, size in itertools.product(("RGB", "RGBA", "L"), (False, True), SIDES):
        yield f"webp {mode} lossless {lossless} {size}", saved(photo(*size, mode), "WEBP", lossless=lossless)
    yield "webp animated", saved(photo(), "WEBP", save_all=True, append_images=[photo().rotate(180)])
    for mode, size in itertools.product(("L", "LA", "RGB", "RGBA", "I;16"), SIDES[3:]):
        image = (
            Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint16).reshape(size[::-1]) * 99)
            if mode == "I;16"
            else photo(*size, mode)
        )
        yield f"jpeg 2000 {mode} {size}", saved(image, "JPEG2000")
        yield f"jpeg 2000 lossy {mode} {size}", saved(image, "JPEG2000", irreversible=True, quality_layers=[20])
        yield f"jpeg 2000 stream {mode} {size}", saved(image, "JPEG2000", no_jp2=True)
    for mode, size in itertools.product(("L", "RGB", "RGBA"), SIDES):
        yield f"avif {mode} {size}", saved(photo(*size, mode), "AVIF", speed=10)
    yield "avif animated", saved(photo(), "AVIF", save_all=True, append_images=[photo().rotate(180)], speed=10)


def _rare() -> Named:
    for format_ in (
        "PPM",
        "PCX",
        "TGA",
        "SGI",
        "ICNS",
        "DDS",
        "IM",
        "SPIDER",
        "MSP",
        "XBM",
        "EPS",
        "PDF",
        "BLP",
        "QOI",
        "DIB",
        "FITS",
    ):
        mode = {"MSP": "1", "XBM": "1", "SPIDER": "F", "BLP": "P", "FITS": "L"}.get(format_, "RGB")
        try:
            yield f"{format_.lower()}", saved(photo(64, 64, mode), format_)
        except (KeyError, OSError, ValueError):
            continue


def _netpbm() -> Named:
    yield "pgm of 16 bits", b"P5\n8 4\n65535\n" + np.arange(32, dtype=">u2").tobytes()
    yield "pgm of 1000 levels", b"P5\n8 4\n1000\n" + (np.arange(32, dtype=">u2") * 30).tobytes()
    yield "pgm of text", b"P2\n# comment\n4 2\n255\n0 1 2 3\n4 5 6 255\n"
    yield "ppm of 16 bits", b"P6\n4 4\n65535\n" + np.arange(48, dtype=">u2").tobytes()
    yield "pbm of text", b"P1 3 2 1 0 1 0 1 0"
    yield "pbm", b"P4\n16 2\n\xaa\x55\xf0\x0f"
    yield "pgm level beyond", b"P2\n2 1\n10\n5 11\n"
    yield "ppm of 0 levels", b"P6\n4 4\n0\n" + bytes(48)
    yield "ppm negative", b"P6\n-4 4\n255\n" + bytes(48)
    yield "ppm short", b"P6\n4 4\n255\n" + bytes(40)
    yield "pgm endless number", b"P2\n" + b"9" * 100_000
    yield "pfm", b"Pf\n4 2\n-1.0\n" + np.linspace(0, 1, 8, dtype="<f4").tobytes()


def _no_images() -> Named:
    yield "empty", b""
    yield "newline", b"\n"
    yield "html", b"<!DOCTYPE html><html><body>503</body></html>"
    yield "json", b'{"error": "not found"}'
    yield "pdf", b"%PDF-1.4\n1 0 obj\n"
    yield "mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(99)
    yield "mp3", b"ID3\3\0\0\0" + bytes(99)
    yield "avi", b"RIFF\x10\0\0\0AVI LIST" + bytes(99)
    yield "zip", b"PK\3\4" + bytes(99)
    yield "gzip", b"\x1f\x8b\x08" + bytes(99)
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    yield "heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)


def _tiffs() -> Named:
    """Lossy and fax compressions only of what they take: libtiff's encoders crash on the rest."""
    lossless = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")
    pairs = set(
        itertools.product(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F"), lossless)
    )
    pairs |= {("1", c) for c in ("tiff_ccitt", "group3", "group4")} | {("L", "jpeg"), ("RGB", "jpeg"), ("CMYK", "jpeg")}
    for mode, compression in sorted(pairs):
        plain = photo(70, 50)
        image = (
            _wide(mode)
            if mode in ("I;16", "I", "F")
            else Image.frombytes(mode, plain.size, plain.tobytes())
            if mode == "LAB"
            else plain.convert(mode)
        )
        yield f"tiff {mode} {compression}", saved(image, "TIFF", compression=compression)
    yield "tiff of two", saved(photo(), "TIFF", save_all=True, append_images=[photo(20, 20)])
    yield "tiff big", saved(photo(), "TIFF", big_tiff=True)


def _wide(mode: str) -> Image.Image:
    ramp = np.linspace(0, 65_535, 70 * 50).reshape(50, 70)
    return Image.fromarray(ramp.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))


def _bombs() -> Named:
    for width, height in (
        (65_535, 65_535),
        (65_500, 65_500),
        (30_000, 30_000),
        (2**31 - 1, 1),
        (1, 2**31 - 1),
        (9_400, 9_400),
    ):
        side = (min(width, 65_535), min(height, 65_535))
        name = f"bomb {width}x{height}"
        yield f"{name} png", png(width, height, 8, 6, bytes(1000))
        yield f"{name} png of 16 bits, interlaced", png(width, height, 16, 6, bytes(1000), interlace=1)
        jpeg = saved(photo(), "JPEG")
        sof = jpeg.index(b"\xff\xc0")
        yield f"{name} jpeg", jpeg[: sof + 5] + struct.pack(">HH", side[1], side[0]) + jpeg[sof + 9 :]
        progressive = saved(photo(), "JPEG", progressive=True)
        sof = progressive.index(b"\xff\xc2")
        yield (
            f"{name} progressive jpeg",
            progressive[: sof + 5] + struct.pack(">HH", side[1], side[0]) + progressive[sof + 9 :],
        )
        gif = saved(photo(64, 48, "P"), "GIF")
        yield f"{name} gif", gif[:6] + struct.pack("<HH", *side) + gif[10:]
        bmp = saved(photo(), "BMP")
        yield f"{name} bmp", bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]
        rle = saved(photo(64, 48, "P"), "BMP")
        rle = rle[:18] + struct.pack("<ii", width, height) + rle[26:30] + struct.pack("<I", 1) + rle[34:]
        yield f"{name} run-length bmp", rle
        tiff = saved(photo(), "TIFF", compression="tiff_lzw")
        yield f"{name} tiff", _tiff_claim(tiff, width, height)
        yield f"{name} raw tiff", _tiff_claim(saved(photo(), "TIFF"), width, height)
        yield f"{name} ppm", b"P6\n%d %d\n255\n" % (width, height) + bytes(99)
        yield f"{name} ppm of text", b"P3\n%d %d\n255\n" % (width, height) + b"1 " * 99
        j2k = saved(photo(), "JPEG2000", no_jp2=True)
        yield f"{name} jpeg 2000", j2k[:8] + struct.pack(">II", width, height) + j2k[16:]
        tiled = j2k[:8] + struct.pack(">II", width, height) + j2k[16:24] + struct.pack(">II", width, height) + j2k[32:]
        yield f"{name} jpeg 2000 of one tile", tiled
        webp = saved(photo(), "WEBP", lossless=True)
        yield f"{name} webp", webp[:21] + struct.pack("<I", (side[0] & 0x3FFF) | (side[1] & 0x3FFF) << 14) + webp[25:]
        avif = saved(photo(), "AVIF", speed=10)
        ispe = avif.index(b"ispe") + 8
        yield f"{name} avif", avif[:ispe] + struct.pack(">II", width, height) + avif[ispe + 8 :]


def _tiff_claim(data: bytes, width: int, height: int) -> bytes:
    changed = bytearray(data)
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in (256, 257, 278):
            struct.pack_into("<HII", changed, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(changed)

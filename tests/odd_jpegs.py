"""Odd JPEG files: samplings, colours, markers, scans, restarts, EXIF and profiles, right and wrong."""

import itertools
import struct
import typing
import zlib

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

from tests.generated_photo import SIDES, Named, photo, saved
from tests.odd_pngs import chunk

EOI = b"\xff\xd9"


def odd_jpegs() -> Named:
    yield from itertools.chain(
        *(_jpegs(), _components(), _frame_headers(), _surroundings(), _lost_segments(), _text_damage()),
        *(_lost_scans(), _restarts(), _mpos(), _exif(), _profiles()),
    )


def _jpegs() -> Named:
    for size, mode, progressive, restarts in itertools.product(SIDES, ("L", "RGB", "CMYK"), (0, 1), (0, 2)):
        data = saved(photo(*size, mode), "JPEG", progressive=progressive, restart_marker_blocks=restarts)
        name = f"jpeg {size[0]}x{size[1]} {mode} {'progressive' if progressive else 'baseline'} restarts {restarts}"
        yield name, data
        yield f"{name} without APP0 and APP14", without(data, (0xE0, 0xEE))
    for size, sampling in itertools.product(SIDES, ("444", "422", "420", "440", "411")):
        pixels = np.asarray(photo(*size))
        yield f"jpeg {size[0]}x{size[1]} {sampling}", simplejpeg.encode_jpeg(pixels, 90, "RGB", sampling)


def without(data: bytes, markers: tuple[int, ...]) -> bytes:
    """A JPEG file without its segments of those markers, up to the first scan."""
    place, kept = 2, data[:2]
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        kept += b"" if data[place + 1] in markers else data[place:end]
        place = end
    return kept + data[place:]


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _components() -> Named:
    data, cmyk = saved(photo(), "JPEG"), saved(photo(64, 48, "CMYK"), "JPEG")
    for transform in (0, 1, 2, 9):
        adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))
        yield f"jpeg RGB Adobe {transform}", b"\xff\xd8" + adobe + without(data, (0xE0,))[2:]
        yield f"jpeg JFIF and Adobe {transform}", data[:20] + adobe + data[20:]
        yield f"jpeg CMYK Adobe {transform}", b"\xff\xd8" + adobe + without(cmyk, (0xE0, 0xEE))[2:]
    yield "jpeg short Adobe", data[:20] + segment(0xEE, b"Adobe") + data[20:]
    yield "jpeg components named RGB", _renamed(without(data, (0xE0,)), b"RGB")
    yield "jpeg components named 0 1 2", _renamed(data, b"\0\1\2")
    yield "jpeg keep_rgb", saved(photo(), "JPEG", keep_rgb=True)


def _frame_headers() -> Named:
    data = saved(photo(), "JPEG")
    sof = data.index(b"\xff\xc0")
    yield "jpeg height 0", data[: sof + 5] + b"\0\0" + data[sof + 7 :]
    yield "jpeg height 0 and DNL", data[: sof + 5] + b"\0\0" + data[sof + 7 : -2] + segment(0xDC, b"\0\x30") + EOI
    yield "jpeg width 0", data[: sof + 7] + b"\0\0" + data[sof + 9 :]
    for height in (40, 49, 64, 480, 65_500):
        yield f"jpeg height {height} for 48", data[: sof + 5] + struct.pack(">H", height) + data[sof + 7 :]
    for width in (56, 72, 65_500):
        yield f"jpeg width {width} for 64", data[: sof + 7] + struct.pack(">H", width) + data[sof + 9 :]
    for precision in (0, 2, 12, 16, 255):
        yield f"jpeg of {precision} bits", data[: sof + 4] + bytes((precision,)) + data[sof + 5 :]
    for marker in (0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCF):
        yield f"jpeg said to be SOF{marker - 0xC0}", data.replace(b"\xff\xc0", bytes((0xFF, marker)))
    for factors in (0x00, 0x12, 0x14, 0x21, 0x31, 0x41, 0x44, 0x55, 0xFF):
        yield f"jpeg sampling {factors:02x}", data[: sof + 11] + bytes((factors,)) + data[sof + 12 :]


def _surroundings() -> Named:
    data, other = saved(photo(), "JPEG"), saved(photo(80, 30), "JPEG")
    yield "jpeg and trailing zeros", data + bytes(5000)
    yield "jpeg and trailing text", data + b"<html>404</html>" * 99
    yield "jpeg behind a newline", b"\n" + data
    yield "jpeg behind text", b"HTTP/1.1 200 OK\r\n\r\n" + data
    yield "jpeg behind a byte order mark", b"\xef\xbb\xbf" + data
    yield "two jpegs", data + other
    yield "jpeg twice", data + data
    yield "jpeg without end", data[:-2]
    yield "jpeg with half an end", data[:-1]
    yield "jpeg with two ends", data + EOI
    yield "jpeg with a segment beyond the end", data[:-2] + b"\xff\xfe\x10\0hello"
    yield "jpeg with two starts", b"\xff\xd8" + data
    yield "jpeg with fill bytes", data[:2] + b"\xff" * 50 + data[2:]
    yield "jpeg with zeros between segments", data[:20] + bytes(9) + data[20:]
    yield "jpeg of nothing", b"\xff\xd8\xff\xd9"


def _lost_segments() -> Named:
    data = saved(photo(), "JPEG")
    yield "jpeg of tables alone", data[: data.index(b"\xff\xc0")] + EOI
    yield "jpeg without a scan", data[: data.index(b"\xff\xda")] + EOI
    yield "jpeg without Huffman tables", without(data, (0xC4,))
    yield "jpeg without quantisation tables", without(data, (0xDB,))
    yield "jpeg with an empty scan", data[: data.index(b"\xff\xda") + 14] + EOI


def _text_damage() -> Named:
    data = saved(photo(), "JPEG")
    scan = data.index(b"\xff\xda") + 14
    yield "jpeg said to be UTF-8", data[:scan] + data[scan:].decode("latin-1").encode("utf-8")
    yield "jpeg with DOS line ends", data.replace(b"\n", b"\r\n")
    yield "jpeg without carriage returns", data.replace(b"\r\n", b"\n")
    yield "jpeg cleaned of 8th bits", bytes(b & 127 for b in data)
    yield "jpeg with zero scan", data[:scan] + bytes(len(data) - scan - 2) + EOI


def _lost_scans() -> Named:
    progressive = saved(photo(), "JPEG", progressive=True)
    scans = [i for i in range(len(progressive) - 1) if progressive[i : i + 2] == b"\xff\xda"]
    for i, place in enumerate(scans[1:], 1):
        yield f"jpeg of {i} of {len(scans)} scans", progressive[:place] + EOI
        yield f"jpeg of {i} of {len(scans)} scans without end", progressive[:place]
    for i, (begin, end) in enumerate(zip(scans, scans[1:], strict=False)):
        yield f"jpeg without scan {i}", progressive[:begin] + progressive[end:]
        yield f"jpeg with scan {i} twice", progressive[:end] + progressive[begin:]


def _restarts() -> Named:
    restarts = saved(photo(301, 200), "JPEG", restart_marker_blocks=7)
    marks = [i for i in range(len(restarts) - 1) if restarts[i] == 0xFF and 0xD0 <= restarts[i + 1] <= 0xD7]
    place, end = marks[3], marks[4]
    yield "jpeg without an interval", restarts[:place] + restarts[end:]
    yield "jpeg with an interval twice", restarts[:end] + restarts[place:]
    yield "jpeg without a restart marker", restarts[:place] + restarts[place + 2 :]
    yield "jpeg with a wrong restart marker", restarts[: place + 1] + b"\xd0" + restarts[place + 2 :]
    yield "jpeg with an end for a restart", restarts[: place + 1] + b"\xd9" + restarts[place + 2 :]
    yield "jpeg with wrong interval", restarts.replace(b"\xff\xdd\0\x04\0\x07", b"\xff\xdd\0\x04\0\x09")


def _mpos() -> Named:
    yield "mpo", saved(photo(), "MPO", save_all=True, append_images=[photo(32, 24)])
    mpo = saved(photo(), "MPO", save_all=True, append_images=[photo(32, 24)])
    yield "mpo without its second", mpo[: mpo.index(EOI, 200) + 2]
    yield "mpo with a broken index", mpo.replace(b"MPF\0II*\0", b"MPF\0II*\0\xff\xff", 1)


def _renamed(data: bytes, names: bytes) -> bytes:
    changed, sof, sos = bytearray(data), data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i, name in enumerate(names):
        changed[sof + 10 + 3 * i] = changed[sos + 5 + 2 * i] = name
    return bytes(changed)


def _exif() -> Named:
    data = saved(photo(), "JPEG", quality=97, subsampling=0)
    for order, value, kind in itertools.product("<>", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65_535), (1, 3, 4, 9, 12)):
        exif = tiff_of_tags(order, [(0x0112, kind, 1, value)])
        yield f"exif {order} orientation {value} as type {kind}", data[:20] + segment(0xE1, exif) + data[20:]
    turned = tiff_of_tags(">", [(0x0112, 3, 1, 6)])
    yield (
        "exif orientation twice",
        data[:20] + segment(0xE1, turned) + segment(0xE1, turned[:-6] + b"\0\3" + bytes(4)) + data[20:],
    )
    yield "exif in front of JFIF", data[:2] + segment(0xE1, turned) + data[2:]
    sof = data.index(b"\xff\xda")
    yield "exif just before the scan", data[:sof] + segment(0xE1, turned) + data[sof:]
    yield "exif with 3 values", data[:20] + segment(0xE1, tiff_of_tags(">", [(0x0112, 3, 3, 26)])) + data[20:]
    yield "exif with no values", data[:20] + segment(0xE1, tiff_of_tags(">", [(0x0112, 3, 0, 6)])) + data[20:]
    loop = turned[:-4] + struct.pack(">I", 8)
    yield "exif whose directory leads to itself", data[:20] + segment(0xE1, loop) + data[20:]
    for cut in range(6, len(turned), 3):
        yield f"exif of {cut} bytes", data[:20] + segment(0xE1, turned[:cut]) + data[20:]
    thumbnail = saved(photo(16, 12), "JPEG")
    exif = tiff_of_tags("<", [(0x0112, 3, 1, 8)]) + thumbnail
    yield "exif with a thumbnail", data[:20] + segment(0xE1, exif) + data[20:]
    for form in (b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>", b'tiff:Orientation="x"'):
        xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description " + form + b"/></x:xmpmeta>"
        yield f"xmp {form.decode()}", data[:20] + segment(0xE1, xmp) + data[20:]
    png = saved(photo(), "PNG")
    yield "png with exif", png[:33] + chunk(b"eXIf", turned[6:]) + png[33:]
    yield "png with exif behind the pixels", png[:-12] + chunk(b"eXIf", turned[6:]) + png[-12:]
    yield "png with rubbish exif", png[:33] + chunk(b"eXIf", b"rubbish") + png[33:]
    raw = b"\nexif\n%8d\n" % len(turned) + turned.hex().encode()
    yield (
        "png with exif as text",
        png[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)) + png[33:],
    )
    for value in range(10):
        exif_tags = Image.Exif()
        exif_tags[0x0112] = value
        yield f"tiff orientation {value}", saved(photo(), "TIFF", exif=exif_tags)
        yield f"webp orientation {value}", saved(photo(), "WEBP", exif=exif_tags, lossless=True)
        yield f"avif orientation {value}", saved(photo(), "AVIF", exif=exif_tags)


def tiff_of_tags(order: str, tags: list[tuple[int, int, int, int]]) -> bytes:
    """EXIF with its prefix. Each tag is number, type, count and value."""
    widths = {1: "B3x", 2: "B3x", 3: "H2x", 4: "I", 8: "H2x", 9: "I", 12: "I"}
    head = b"Exif\0\0" + {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(tags))
    entries = []
    for tag, kind, count, value in tags:
        packed = struct.pack(order + widths[kind], value & 255 if kind == 1 else value)
        entries.append(struct.pack(f"{order}HHI", tag, kind, count) + packed)
    return head + b"".join(entries) + bytes(4)


def _profile(space: typing.Literal["sRGB", "LAB", "XYZ"]) -> bytes:
    """A profile of that space, less the time of its making."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    return made[:24] + bytes(12) + made[36:]


def _profiles() -> Named:
    srgb, lab, xyz = map(_profile, ("sRGB", "LAB", "XYZ"))
    wide = srgb.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    broken = {
        "srgb": srgb, "wide": wide, "lab": lab, "xyz": xyz, "cut": srgb[:200], "short": srgb[:10],
        "text": b"profile" * 99, "long": srgb + bytes(200_000),
        "grey": srgb[:16] + b"GRAY" + srgb[20:], "cmyk": srgb[:16] + b"CMYK" + srgb[20:],
        "many tags": wide[:128] + b"\xff\xff\xff\xff" + wide[132:], "size": b"\xff\xff\xff\xff" + wide[4:],
    }  # fmt: skip
    for name, mode in itertools.product(broken, ("L", "RGB", "CMYK")):
        yield f"jpeg {mode} with profile {name}", saved(photo(64, 48, mode), "JPEG", icc_profile=broken[name])
        yield f"tiff {mode} with profile {name}", saved(photo(64, 48, mode), "TIFF", icc_profile=broken[name])
    for name, mode in itertools.product(broken, ("L", "LA", "RGB", "RGBA", "P")):
        yield f"png {mode} with profile {name}", saved(photo(64, 48, mode), "PNG", icc_profile=broken[name])
    for name in broken:
        yield f"webp with profile {name}", saved(photo(), "WEBP", icc_profile=broken[name])
    data = saved(photo(), "JPEG")
    pieces = [wide[i : i + 200] for i in range(0, len(wide), 200)]
    head = b"ICC_PROFILE\0"
    numbered = [segment(0xE2, head + bytes((i, len(pieces))) + piece) for i, piece in enumerate(pieces, 1)]
    yield "jpeg with a profile in pieces", data[:20] + b"".join(numbered) + data[20:]
    yield "jpeg with a profile in pieces backwards", data[:20] + b"".join(numbered[::-1]) + data[20:]
    yield "jpeg with a piece of profile missing", data[:20] + b"".join(numbered[:1] + numbered[2:]) + data[20:]
    yield "jpeg with a piece of profile twice", data[:20] + b"".join([numbered[0], *numbered]) + data[20:]
    yield "jpeg with an empty profile", data[:20] + segment(0xE2, head + b"\1\1") + data[20:]
    yield "jpeg with half a profile head", data[:20] + segment(0xE2, head) + data[20:]

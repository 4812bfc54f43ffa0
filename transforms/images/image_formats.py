"""Which decoder a file's first bytes call for. Names and types that come with a file are not trusted."""

import re

from schemas.failures import FailureReason, PhotoError, Stage

_DECODED = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("GIF", rb"GIF8[79]a"),
    ("WEBP", rb"RIFF.{4}WEBP"),
    ("TIFF", rb"II\*\0|MM\0\*|II\0\*|MM\*\0|II\+\0|MM\0\+"),
    ("BMP", rb"BM.{12}[\x0c-\xff]\0\0\0"),
    ("AVIF", rb".{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,12}?avif)"),
    ("JPEG2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    ("ICO", rb"\0\0\x01\0"),
    ("PPM", rb"P[1-6][\s#]"),
)
_REFUSED = (
    ("heif", rb".{4}ftyp(?:hei|hev|mif1|msf1)"),
    ("jpeg xl", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("jpeg xr", rb"II\xbc\x01"),
    ("postscript", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("svg", rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!DOCTYPE svg|<svg)"),
    ("psd", rb"8BPS"),
    ("xcf", rb"gimp xcf"),
    ("openexr", rb"\x76\x2f\x31\x01"),
    ("dds", rb"DDS "),
    ("qoi", rb"qoif"),
    ("icns", rb"icns"),
    ("cursor", rb"\0\0\x02\0"),
    ("windows metafile", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
    ("pcx", rb"\x0a[\0-\x05]\x01[\x01-\x08]"),
    ("sgi", rb"\x01\xda[\0\x01][\x01\x02]"),
    ("sun raster", rb"\x59\xa6\x6a\x95"),
    ("mng or jng", rb"\x8aMNG|\x8bJNG"),
    ("fits", rb"SIMPLE  ="),
    ("pam or pfm", rb"P7\n|P[fF]\n"),
    ("bitmap array", rb"BA.{12}BM"),
)
_SNIFFED_BYTES = 512


def sniff(data: bytes) -> str:
    """Returns Pillow's name of the decoder for these bytes.

    Raises:
        PhotoError: ``unsupported_image`` for a known image format without a decoder here,
            ``not_an_image`` for anything else.
    """
    head = data[:_SNIFFED_BYTES]
    for name, signature in _DECODED:
        if re.match(signature, head, re.DOTALL):
            return name
    for name, signature in _REFUSED:
        if re.match(signature, head, re.DOTALL):
            raise PhotoError(FailureReason.UNSUPPORTED_IMAGE, Stage.DECODE, f"{name} images are not decoded")
    raise PhotoError(FailureReason.NOT_AN_IMAGE, Stage.DECODE, "the bytes are of no known image format")

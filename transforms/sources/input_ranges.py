"""Cuts input files into ranges of bytes, each read by one step."""

import typing

from schemas.elements import InputRange
from schemas.open_images import OpenImagesKind
from schemas.sources import Source
from transforms.sources.input_files import SIDE_KINDS, InputFile
from transforms.sources.line_ranges import split_ranges

_WHOLE = frozenset((OpenImagesKind.IMAGES.value,))

PLAIN_RANGE_BYTES = 64 << 20
BZ2_RANGE_BYTES = 16 << 20


def ranges_of(files: typing.Iterable[InputFile]) -> list[InputRange]:
    """Cuts the files into ranges, numbered in order; one of names or masks has none."""
    return [
        InputRange(unit, f.url, f.source.value, f.kind, f.fields, f.size, start, stop, f.compressed)
        for unit, (f, start, stop) in enumerate((f, *cut) for f in files for cut in _cuts(f))
    ]


def _cuts(file: InputFile) -> typing.Iterable[tuple[int, int]]:
    if file.kind in SIDE_KINDS:
        return []
    if file.source in (Source.COCO, Source.FLICKR8K) or file.kind in _WHOLE:
        return [(0, file.size)]
    return split_ranges(file.size, BZ2_RANGE_BYTES if file.compressed else PLAIN_RANGE_BYTES)

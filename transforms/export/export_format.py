"""What an export format is: plain functions that say what an image becomes."""

import typing

from transforms.export.classes import ExportClasses
from transforms.export.images import ExportedImage

File = tuple[str, bytes]
"""Name in the export, and content."""

Line = tuple[str, str]
"""A section of the files that all shards share, and a line of it without its end."""

Sections = typing.Mapping[str, typing.Callable[[], typing.Iterator[str]]]
"""Gives the lines of each section that has any, in order of shards and KEYs, as often as it is asked."""

SHORT_SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""As most tools call them."""


def nothing_left_out(image: ExportedImage) -> dict[str, int]:
    """Says that nothing but boxes is left out."""
    return {}


class ExportFormat(typing.NamedTuple):
    """An export format.

    Attributes:
        roots: what lies at the root of such an export.
        columns: of the row that it needs, beside those that every export does.
        files: the files of an image, beside the image itself.
        places: names of the image's file; none if there is no place for it.
        lines: the lines of an image in the files that all shards share.
        shared_files: names of these, each with its text in pieces.
        needs_size: leave out images whose size in pixels is not known.
        takes_normalised: keep the boxes of such images, where they are parts of its width and height.
        needs_boxes: leave out images without boxes.
        takes_crowds: keep COCO's boxes of crowds: the format marks them.
        whole_pixels: leave out boxes without area after rounding.
        per_photo: of rows, too, an image is a photo, not a copy of it.
        is_added_to: files that are there already stay; the export may grow over several datasets.
        left_out: what else of an image the format has no place for: numbers by name.
    """

    roots: frozenset[str]
    columns: tuple[str, ...]
    files: typing.Callable[[ExportedImage, ExportClasses], typing.Iterable[File]]
    places: typing.Callable[[ExportedImage, ExportClasses], typing.Sequence[str]]
    lines: typing.Callable[[ExportedImage, ExportClasses], typing.Iterable[Line]]
    shared_files: typing.Callable[[Sections, ExportClasses], typing.Iterable[tuple[str, typing.Iterable[str]]]]
    needs_size: bool = True
    takes_normalised: bool = False
    needs_boxes: bool = False
    takes_crowds: bool = False
    whole_pixels: bool = False
    per_photo: bool = False
    is_added_to: bool = False
    left_out: typing.Callable[[ExportedImage], typing.Mapping[str, int]] = nothing_left_out


def no_files(image: ExportedImage, classes: ExportClasses) -> typing.Iterable[File]:
    """Gives no file beside the image."""
    return ()


def no_lines(image: ExportedImage, classes: ExportClasses) -> typing.Iterable[Line]:
    """Gives no line."""
    return ()


def no_shared_files(sections: Sections, classes: ExportClasses) -> typing.Iterable[tuple[str, typing.Iterable[str]]]:
    """Gives no file that shards share."""
    return ()


def name_in_split(image: ExportedImage, classes: ExportClasses) -> typing.Iterable[Line]:
    """Gives the image's name as a line of its split."""
    yield SHORT_SPLITS[image.split], image.name

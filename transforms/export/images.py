"""The images of an export: photos of a dataset, or copies of photos where it has rows alone.

A sample is one image, named by its KEY, with the geometry of all its sources in pixels of the written image. Of rows
each copy that a source has is one image, named by the source's file name or id, with that source's geometry.
"""

import re
import typing

from schemas.annotations import EDGES, NORMALISED
from schemas.photo_ids import key
from schemas.sources import Source
from schemas.splits import common_split, split_pattern
from schemas.surrogate_ids import surrogate_id
from transforms.export.classes import ExportClasses
from transforms.export.names import file_name

Element = dict[str, typing.Any]
Edges = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax: half-open, 0-based."""

SPLIT_COLUMNS = ("coco_split", "open_images_split", "flickr8k_split")
"""The first that is there decides a sample's split."""

SAMPLE_COLUMNS = ("photo_id", "copies", "width", "height", "image_offset", "image_bytes", *SPLIT_COLUMNS)
COPY_COLUMNS = ("photo_id", "copies", "is_video", *SPLIT_COLUMNS)


class Box(typing.NamedTuple):
    """A box of one of the classes that are exported.

    Attributes:
        class_number: of its class.
        edges: px; parts of width and height where the image's size is not known.
        element: of the row.
    """

    class_number: int
    edges: Edges
    element: Element

    @property
    def is_crowd(self) -> bool:
        """Whether it is COCO's mark of a region with many objects."""
        return self.element["is_crowd"] == 1

    @property
    def is_group(self) -> bool:
        """Whether it is Open Images' box around a group."""
        return self.element["is_group_of"] == 1


class ExportedImage(typing.NamedTuple):
    """An image of an export.

    Attributes:
        photo_id: of its photo.
        image_id: of the sample the photo id; of a copy COCO's own id, or else a surrogate of the source's.
        name: of its file, without extension.
        extension: with its dot.
        split: ``train``, ``validation`` or ``test``; what is in none of them is in ``train``.
        size: width and height, px; None if they are not known.
        boxes: to be exported.
        row: columns of the sample or row; of a copy its own annotations alone.
    """

    photo_id: int
    image_id: int
    name: str
    extension: str
    split: str
    size: tuple[int, int] | None
    boxes: list[Box]
    row: Element

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.name + self.extension


def sample_image(row: Element, classes: ExportClasses, split: str, extension: str) -> ExportedImage:
    """Returns the image of a sample.

    Args:
        row: with :data:`SAMPLE_COLUMNS` at least.
        classes: those exported.
        split: that is asked for, one of :data:`SPLITS`, and the photo is in; '' for any.
        extension: of the dataset's images, with its dot.
    """
    image = _photo(row, split)._replace(extension=extension, size=(row["width"], row["height"]))
    return with_boxes(image, row.get("boxes", ()), classes)


def row_photo(row: Element, classes: ExportClasses, split: str) -> ExportedImage:
    """Returns a photo of a dataset without images; its boxes are in the units of any of its copies.

    Args:
        row: with :data:`COPY_COLUMNS` at least.
        classes: those exported.
        split: as of :func:`sample_image`.
    """
    found = ((classes.number(element), element) for element in row.get("boxes", ()))
    boxes = [Box(number, _published(element), element) for number, element in found if number is not None]
    return _photo(row, split)._replace(boxes=boxes)


def copy_images(row: Element, classes: ExportClasses, split: str) -> list[ExportedImage]:
    """Returns the copies of a photo of a dataset without images, each once; the photo itself if it has no copy.

    Args:
        row: with :data:`COPY_COLUMNS` at least.
        classes: those exported.
        split: as of :func:`sample_image`.
    """
    in_split = re.compile(split_pattern(split))
    copies: dict[tuple[str, str], Element] = {}
    for copy in row["copies"]:
        if not split or in_split.match(copy["split"] or ""):
            copies.setdefault((copy["source"], copy["image_id"]), copy)
    return [_copy(row, copy, classes) for copy in copies.values()] or [_photo(row, split)]


def split_of(names: typing.Iterable[str | None]) -> str:
    """Returns the split that the first name says, without a year; ``train`` if none says one.

    Example:
        >>> split_of([None, "val2017"]), split_of(["dev"]), split_of([])
        ('validation', 'validation', 'train')
    """
    return common_split(next(filter(None, names), "")) or "train"


def with_boxes(image: ExportedImage, elements: typing.Iterable[Element], classes: ExportClasses) -> ExportedImage:
    """Returns an image with those of the boxes whose class is exported and whose place in it is known."""
    boxes = []
    for element in elements:
        number, edges = classes.number(element), _edges(element, image.size)
        if number is not None and edges is not None:
            boxes.append(Box(number, edges, element))
    return image._replace(boxes=boxes)


def _photo(row: Element, split: str) -> ExportedImage:
    photo_id = row["photo_id"]
    own_split = split_of([split, *(row[column] for column in SPLIT_COLUMNS)])
    return ExportedImage(photo_id, photo_id, key(photo_id), ".jpg", own_split, None, [], row)


def _copy(row: Element, copy: Element, classes: ExportClasses) -> ExportedImage:
    source, own_id, file = copy["source"], copy["image_id"], copy["file_name"] or ""
    stem, dot, extension = file.rpartition(".")
    is_coco = source == Source.COCO.value and own_id.isdecimal()
    image = ExportedImage(
        photo_id=row["photo_id"],
        image_id=int(own_id) if is_coco else surrogate_id(source, own_id),
        name=file_name(stem or file or own_id),
        extension=f".{extension}" if stem and dot and extension.isalnum() else ".jpg",
        split=split_of([copy["split"]]),
        size=(copy["width"], copy["height"]) if copy["width"] and copy["height"] else None,
        boxes=[],
        row={name: _own(value, copy) if isinstance(value, list) else value for name, value in row.items()},
    )
    return with_boxes(image, image.row.get("boxes", ()), classes)


def _own(elements: list[Element], copy: Element) -> list[Element]:
    """Returns the elements that are of a copy; lists of other things stay."""
    if not elements or not isinstance(elements[0], dict) or "image_id" not in elements[0]:
        return elements
    return [e for e in elements if (e["source"], e["image_id"]) == (copy["source"], copy["image_id"])]


def _edges(element: Element, size: tuple[int, int] | None) -> Edges | None:
    """Returns a box in pixels, or normalised where there is no size; None where it cannot be told."""
    edges = _published(element)
    if element["units"] == NORMALISED and size:
        (width, height) = size
        return edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height
    return edges if size or element["units"] == NORMALISED else None


def _published(element: Element) -> Edges:
    return typing.cast(Edges, tuple(element[edge] for edge in EDGES))

"""Exports one shard: its images by range reads of its tar, its annotations, and its part of what shards share."""

import collections
import dataclasses
import enum
import typing

import pyarrow as pa
import pyarrow.compute as pc

from schemas.export_records import ExportPart, part_file, part_record
from transforms.export.classes import ExportClasses, list_labels
from transforms.export.edges import clipped, has_area, whole_pixels
from transforms.export.export_format import ExportFormat, File
from transforms.export.formats import export_format
from transforms.export.images import (
    COPY_COLUMNS,
    SAMPLE_COLUMNS,
    Box,
    Element,
    ExportedImage,
    copy_images,
    row_photo,
    sample_image,
)
from transforms.export.read_photos import ExportedDataset, read_images, read_photos
from transforms.export.write_files import flush, link_file, write_files
from transforms.join.filter_rows import in_split
from transforms.stores.output import LocalOutput, Output
from transforms.workers.progress import count

_PHOTOS_AT_ONCE = 256
_IMAGE_BYTES_AT_ONCE = 64 << 20
"""Of the images in memory, which end with the one that reaches it."""


class ImageMode(str, enum.Enum):
    """What happens to the images: a file in each place, one file with links in further places, or nothing."""

    COPY = "copy"
    LINK = "link"
    NONE = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is exported, and how.

    Attributes:
        dataset: of it.
        output: where it goes.
        format: name of the format.
        raw: of :data:`transforms.export.formats.FILES`.
        split: photos of that split alone, of :func:`schemas.splits.read_split`; '' for all.
        images: what happens to them.
        classes: those exported.
        of_classes: photos alone that have a box of these classes.
        keep: files that are there stay as they are.
    """

    dataset: ExportedDataset
    output: Output
    format: str
    raw: bool
    split: str
    images: ImageMode
    classes: ExportClasses
    of_classes: bool
    keep: bool


@dataclasses.dataclass(frozen=True)
class ListLabels:
    """Lists the labels of a shard, see :func:`transforms.export.classes.list_labels`."""

    dataset: ExportedDataset
    output: Output

    def __call__(self, shard: int) -> int:
        """Writes the list; returns the number of rows."""
        return list_labels(self.dataset, self.output, shard)


@dataclasses.dataclass(frozen=True)
class ExportShard:
    """Exports a shard and writes its record last.

    Attributes:
        config: what is exported, and how.
    """

    config: ExportConfig

    def __call__(self, shard: int) -> int:
        """Exports the shard; returns how many photos it has.

        Raises:
            DamagedDatasetError: a file is missing, or not what was written.
            OSError: the output refuses.
        """
        config, counts = self.config, collections.Counter[str]()
        format_ = export_format(config.format, config.raw)
        photos = _photos(config, format_, shard)
        lines: dict[str, list[str]] = collections.defaultdict(list)
        images = _kept_images(config, format_, photos, counts)
        for some in _batches(images):
            _write_images(config, format_, shard, some)
            for image in some:
                for section, line in format_.lines(image, config.classes):
                    lines[section].append(line)
        _write_part(config.output, shard, counts, lines)
        count("samples", photos.num_rows)
        return photos.num_rows


def _photos(config: ExportConfig, format_: ExportFormat, shard: int) -> pa.Table:
    columns = SAMPLE_COLUMNS if config.dataset.has_images else COPY_COLUMNS
    return read_photos(config.dataset, shard, list(dict.fromkeys([*columns, *format_.columns])))


def _kept_images(
    config: ExportConfig, format_: ExportFormat, photos: pa.Table, counts: collections.Counter[str]
) -> typing.Iterator[ExportedImage]:
    """Yields the images that are exported, with the boxes that are; counts these, and why others are not."""
    counts["photos"] += photos.num_rows
    wanted = photos
    if config.split and photos.num_rows:
        wanted = photos.filter(pa.array(in_split(photos, config.split)))
    counts["photos_of_other_splits"] += photos.num_rows - wanted.num_rows
    if not (config.dataset.has_images or format_.per_photo):
        are_videos = pc.sum(wanted["is_video"]).as_py() or 0
        counts["videos"] += are_videos
        wanted = wanted.filter(pc.invert(wanted["is_video"])) if are_videos else wanted
    for batch in wanted.to_batches(max_chunksize=_PHOTOS_AT_ONCE):
        for row in batch.to_pylist():
            for image in _images(config, format_, row):
                kept = _kept_boxes(image, format_, config.classes, counts)
                reason = _left_out(kept, format_, config.of_classes)
                counts[reason or "images"] += 1
                if not format_.per_photo:
                    counts["boxes_of_images_left_out" if reason else "boxes"] += len(kept.boxes)
                if not reason:
                    counts.update(format_.left_out(kept))
                    yield kept


def _batches(images: typing.Iterable[ExportedImage]) -> typing.Iterator[list[ExportedImage]]:
    """Yields images together whose files fit into memory."""
    some: list[ExportedImage] = []
    size = 0
    for image in images:
        some.append(image)
        size += image.row.get("image_bytes", 0)
        if len(some) == _PHOTOS_AT_ONCE or size >= _IMAGE_BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _images(config: ExportConfig, format_: ExportFormat, row: Element) -> list[ExportedImage]:
    if config.dataset.has_images:
        return [sample_image(row, config.classes, config.split, config.dataset.extension)]
    if format_.per_photo:
        return [row_photo(row, config.classes, config.split)]
    return copy_images(row, config.classes, config.split)


def _left_out(image: ExportedImage, format_: ExportFormat, of_classes: bool) -> str:
    """Says why an image is left out; '' if it is not."""
    if format_.needs_size and not image.size:
        return "images_without_size"
    return "images_without_boxes" if (format_.needs_boxes or of_classes) and not image.boxes else ""


def _kept_boxes(
    image: ExportedImage, format_: ExportFormat, classes: ExportClasses, counts: collections.Counter[str]
) -> ExportedImage:
    """Returns an image with its boxes cut to it, less those that the format cannot hold."""
    if format_.per_photo:
        return image
    placed = image.boxes if image.size or format_.takes_normalised else []
    classes_of = [classes.number(element) for element in image.row.get("boxes", ())]
    counts["boxes_of_other_classes"] += classes_of.count(None)
    counts["boxes_of_unknown_place"] += len(classes_of) - classes_of.count(None) - len(placed)
    kept = []
    for box in placed:
        cut = box._replace(edges=clipped(box.edges, image.size or (1, 1)))
        reason = _box_left_out(cut, format_)
        if reason:
            counts[reason] += 1
        else:
            kept.append(cut)
    return image._replace(boxes=kept)


def _box_left_out(box: Box, format_: ExportFormat) -> str:
    if box.is_crowd and not format_.takes_crowds:
        return "boxes_of_crowds"
    if not has_area(box.edges):
        return "boxes_without_area"
    return "boxes_below_a_pixel" if format_.whole_pixels and not has_area(whole_pixels(box.edges)) else ""


def _write_images(config: ExportConfig, format_: ExportFormat, shard: int, images: list[ExportedImage]) -> None:
    """Writes the files of some images, and these themselves."""
    output = config.output
    files = [file for image in images for file in format_.files(image, config.classes)]
    links: list[tuple[str, str]] = []
    if config.images is not ImageMode.NONE:
        datas = read_images(config.dataset, shard, [image.row for image in images])
        for image, data in zip(images, datas, strict=True):
            first, *others = format_.places(image, config.classes)
            files.append((first, data))
            if config.images is ImageMode.LINK:
                links += [(first, other) for other in others]
            else:
                files += [(other, data) for other in others]
    write_files(output, files, config.keep)
    for first, other in links:
        link_file(typing.cast(LocalOutput, output), first, other)


def _write_part(
    output: Output, shard: int, counts: collections.Counter[str], lines: typing.Mapping[str, list[str]]
) -> None:
    files: list[File] = [
        (part_file(shard, section), "".join(f"{line}\n" for line in own).encode()) for section, own in lines.items()
    ]
    write_files(output, files)
    flush(output)
    part = ExportPart({n: c for n, c in counts.items() if c}, {section: len(own) for section, own in lines.items()})
    output.write(part_record(shard), part.to_json())

"""What becomes of one photo: its images, what is known of them, and its annotations on the first.

From the photo's own file; or, where a dataset is made from another one, from an image that was written of it.
"""

import collections
import dataclasses
import hashlib
import typing

from schemas.annotations import GEOMETRY_COLUMNS, MAPPED_COLUMNS
from schemas.samples import IMAGE_COLUMNS
from transforms.geometry.copy_affines import WrittenImage, file_rotation
from transforms.geometry.map_annotations import MappedAnnotations, map_annotations
from transforms.images.image_codec import EncodedImage, Original, encode_again, encode_image
from transforms.images.image_plan import ImageOptions, Plan, image_plans, shows_whole
from transforms.places.image_places import FoundImage

Row = dict[str, typing.Any]


class Made(typing.NamedTuple):
    """A photo's images and what the sample says of them.

    Attributes:
        images: one of each size.
        columns: a value for each of :data:`schemas.samples.IMAGE_COLUMNS` but ``key``.
        mapped: :data:`schemas.annotations.MAPPED_COLUMNS` of the sample; None where they are the row's.
        dropped: annotations that could not be mapped, by column and cause.
    """

    images: list[bytes]
    columns: Row
    mapped: Row | None
    dropped: "collections.Counter[str]" = collections.Counter()


def make_images(found: FoundImage, row: Row, options: ImageOptions) -> Made:
    """Makes a photo's images of its file.

    Args:
        found: the file.
        row: the joined row's ``sources``, ``copies`` and, if anything is annotated, geometry columns and ``warnings``.
        options: how images are written.

    Raises:
        PhotoError: as :func:`transforms.images.image_codec.encode_image`.
    """
    images = encode_image(found.data, options, file_rotation(row["copies"], found.copy_source, found.copy_id))
    about_file = {
        "original_bytes": len(found.data),
        "sha256": hashlib.sha256(found.data).hexdigest(),
        "fetched_from": found.fetched_from,
    }
    return _made(images, about_file, row, found.copy_source, found.copy_id)


def make_again(data: bytes, sample: Row, row: Row, options: ImageOptions) -> Made:
    """Makes a photo's images of one that was written of it: but for their pixels, as its own file would give them.

    Args:
        data: the written image, of which :func:`usable_size` says that it can be taken.
        sample: what it is in the old dataset: :data:`schemas.samples.IMAGE_COLUMNS`.
        row: as for :func:`make_images`.
        options: how images are written.

    Raises:
        PhotoError: as :func:`transforms.images.image_codec.encode_image`.
    """
    of_file = sample["transforms"][0]
    original = Original(sample["original_format"], _size(sample), sample["orientation"])
    images = encode_again(data, original, options)
    about_file = {name: sample[name] for name in ("original_bytes", "sha256", "fetched_from")}
    return _made(images, about_file, row, of_file["source"], of_file["image_id"] or "")


def take_over(images: list[bytes], sample: Row, row: Row) -> Made:
    """Takes a photo's images as they are in another dataset of the same form, with all that is known of them.

    Args:
        images: of every size.
        sample: with :data:`schemas.samples.IMAGE_COLUMNS` and :data:`schemas.annotations.MAPPED_COLUMNS`.
        row: as for :func:`make_images`.
    """
    columns = {column.name: sample[column.name] for column in IMAGE_COLUMNS if column.name != "key"}
    mapped = {name: sample[name] for name in MAPPED_COLUMNS} if "warnings" in row else None
    return Made(images, columns, mapped)


def usable_size(original: tuple[int, int], orientation: int, old: ImageOptions, new: ImageOptions) -> int | None:
    """Returns the place among the old sizes of the smallest image that a photo's new ones can be made from.

    It shows the whole photo in its own aspect, and is nowhere smaller than the new ones; nor as small as one that
    another filter is to make.

    Args:
        original: width and height of the photo's file as stored, px.
        orientation: EXIF orientation that was applied to it.
        old: how the images were written that there are.
        new: how they are to be written.

    Returns:
        None if no image will do.

    Example:
        >>> sizes = ImageOptions(image_size=256, further_sizes=(512, 384))
        >>> [usable_size((4000, 3000), 1, sizes, ImageOptions(image_size=n)) for n in (128, 300, 600)]
        [0, 2, None]
    """
    wanted = [plan.scaled for plan in image_plans(original, orientation, new)]

    def will_do(plan: Plan) -> bool:
        small = [w for w in wanted if w[0] > plan.scaled[0] or w[1] > plan.scaled[1]]
        refiltered = old.filter != new.filter and plan.scaled != original and plan.scaled in wanted
        return shows_whole(plan, orientation) and old.resize != "stretch" and not small and not refiltered

    plans = image_plans(original, orientation, old)
    return min((i for i in range(len(plans)) if will_do(plans[i])), key=lambda i: plans[i].scaled, default=None)


def options_again(sample: Row, old: ImageOptions, new: ImageOptions) -> ImageOptions:
    """Returns the options for an image that was written before: another quality counts where that was encoded."""
    encoded = sample["orientation"] != 1 or _size(sample) != (sample["width"], sample["height"])
    return dataclasses.replace(new, reencode="always") if encoded and old.quality != new.quality else new


def _size(sample: Row) -> tuple[int, int]:
    return sample["original_width"], sample["original_height"]


def _made(images: list[EncodedImage], about_file: Row, row: Row, copy_source: str, copy_id: str) -> Made:
    """Takes the annotations to the first image."""
    first, *further = (
        WrittenImage(
            stored=(encoded.original_width, encoded.original_height),
            orientation=encoded.orientation,
            matrix=encoded.matrix,
            size=(encoded.width, encoded.height),
            image_size=encoded.image_size,
            copy_source=copy_source,
            copy_id=copy_id,
        )
        for encoded in images
    )
    mapped = map_annotations(row, first, further)
    encoded = images[0]
    columns = {
        "width": encoded.width,
        "height": encoded.height,
        "original_width": encoded.original_width,
        "original_height": encoded.original_height,
        "original_format": encoded.original_format,
        "orientation": encoded.orientation,
        "transforms": mapped.transforms,
        **about_file,
    }
    return Made([image.data for image in images], columns, _mapped_columns(row, mapped), mapped.dropped)


def _mapped_columns(row: Row, mapped: MappedAnnotations) -> Row | None:
    if not mapped.warnings and not any(row[name] for name in GEOMETRY_COLUMNS):
        return None
    return {**mapped.columns, "warnings": [*row["warnings"], *mapped.warnings]}

"""Where the sources' copies of a photo lie on the image that was written of it.

Sources annotate copies of their own, of other sizes and perhaps turned, while the file that was fetched is one copy or
none of them. A copy is taken to its upright photo, that is scaled to the photo as fetched, upright, and from there the
plan of the written image goes on. What turns:

* Open Images' coordinates are parts of its copy as it is stored, before ``Rotation``. That turns them, and null counts
  as 0. Where the file is that copy, the same turn made its pixels upright. If the copy has no ``Rotation``, EXIF turned
  its pixels, and its coordinates turn with them: annotators drew on the stored pixels, since browsers of those years
  showed images without regard to EXIF, and what is drawn on a pixel stays on it.
* COCO's coordinates are pixels of its copy, upright, of the published size. If the file is that copy and has the
  published aspect only as stored, they are pixels as stored; so they are if no size is published.
* EXIF orientation of any other file turns that file's pixels alone.
"""

import functools
import typing

from schemas.annotations import NORMALISED, PIXELS
from transforms.geometry.affine import Affine, compose, inverse, orientation, quarter_turn, scale
from transforms.images.image_plan import orientation_of_turn

ASPECT_TOLERANCE = 0.01
ASPECT_TOLERANCE_PX = 2.0
"""By how much the shorter side of an upright copy may differ from the photo's, when its longer one is scaled to it."""

UNKNOWN_SOURCES = ("", "flickr")
"""As ``copy_source``: the file is no source's copy."""

_NORMALISING_SOURCES = ("open_images",)

Copy = typing.Mapping[str, typing.Any]
Size = tuple[int, int]


class WrittenImage(typing.NamedTuple):
    """A written image and the file that it was made of.

    Attributes:
        stored: width and height of the file's image as stored, px.
        orientation: EXIF orientation that was applied to it, 1 to 8.
        matrix: from pixels as stored to pixels of the written image.
        size: width and height of the written image, px.
        image_size: the ``--image_size`` that it was written for.
        copy_source: whose copy of the photo the file is: ``open_images``, ``coco``, ``flickr8k``, ``yfcc``, or
            ``flickr`` where that is not known.
        copy_id: image id of that copy, '' if unknown.
    """

    stored: Size
    orientation: int
    matrix: Affine
    size: Size
    image_size: int
    copy_source: str
    copy_id: str


class PlacedCopy(typing.NamedTuple):
    """A copy on the written image.

    Attributes:
        extent: width and height of the copy in its units: px, or 1 and 1.
        matrix: from its units to pixels of the written image.
    """

    extent: tuple[float, float]
    matrix: Affine


class CopyAffines:
    """The affines of all copies of one photo."""

    def __init__(self, copies: typing.Sequence[Copy], image: WrittenImage) -> None:
        """Places the copies.

        Args:
            copies: elements of the row's ``copies``.
            image: what they are placed on.
        """
        self._image = image
        self._copies = _by_id(copies)
        self._file = _file_id(self._copies, image.copy_source, image.copy_id)
        width, height = image.stored
        self._upright: Size = (height, width) if image.orientation >= 5 else (width, height)
        self._placed: dict[tuple[str, str, str], PlacedCopy | None] = {}
        self._mismatched = {own for own in self._copies if self._is_mismatch(own)}

    @functools.cached_property
    def _from_upright(self) -> Affine:
        return compose(inverse(orientation(self._image.orientation, *self._image.stored)), self._image.matrix)

    @property
    def mismatched(self) -> list[str]:
        """``SOURCE:ID`` of each copy whose aspect is not the photo's, sorted."""
        return sorted(f"{source}:{image_id}" for source, image_id in self._mismatched)

    def place(self, source: str, image_id: str, units: str) -> PlacedCopy | None:
        """Returns where a copy lies; None where that is not known: it has another aspect, or pixels and no size.

        Args:
            source: of the annotation.
            image_id: likewise; a copy that is not among ``copies`` has no known size and no rotation.
            units: of the annotation's coordinates.
        """
        key = source, image_id, units
        if key not in self._placed:
            self._placed[key] = None if key[:2] in self._mismatched else self._place(*key)
        return self._placed[key]

    def _place(self, source: str, image_id: str, units: str) -> PlacedCopy | None:
        copy = self._copies.get((source, image_id), _UNLISTED)
        is_file = (source, image_id) == self._file
        if units == NORMALISED:
            return PlacedCopy((1.0, 1.0), self._normalised(copy, is_file))
        if copy.size is None:
            return PlacedCopy(self._image.stored, self._image.matrix) if is_file else None
        if is_file and differ_in_aspect(copy.upright(copy.size), self._upright):
            return PlacedCopy(copy.size, compose(scale(copy.size, self._image.stored), self._image.matrix))
        turned = compose(quarter_turn(copy.rotation or 0, *copy.size), scale(copy.upright(copy.size), self._upright))
        return PlacedCopy(copy.size, compose(turned, self._from_upright))

    def transforms(self, sources: typing.Sequence[str]) -> list[dict[str, typing.Any]]:
        """Returns the sample's ``transforms`` to this image.

        The first entry is that of the fetched file, from its pixels as stored. Then comes every copy that can be
        placed, in the order of ``copies``, from the units in which its source publishes; an entry that would repeat the
        first one, as that of a COCO image which was itself fetched, is left out.

        Args:
            sources: of the row; a file of unknown kind counts as YFCC's where YFCC knows the photo.
        """
        image = self._image
        source = image.copy_source
        if source in UNKNOWN_SOURCES:
            source = "yfcc" if "yfcc" in sources else "flickr"
        entries = [self._entry(source, image.copy_id or None, PIXELS, image.matrix)]
        for own_source, image_id in self._copies:
            units = NORMALISED if own_source in _NORMALISING_SOURCES else PIXELS
            placed = self.place(own_source, image_id, units)
            if placed:
                entry = self._entry(own_source, image_id, units, placed.matrix)
                entries += [entry] if entry != entries[0] else []
        return entries

    def _entry(self, source: str, image_id: str | None, units: str, matrix: Affine) -> dict[str, typing.Any]:
        # Adding zero turns negative zeros to zeros.
        values, size = [value + 0.0 for value in matrix], self._image.image_size
        return {"source": source, "image_id": image_id, "units": units, "size": size, "matrix": values}

    def _normalised(self, copy: "_KnownCopy", is_file: bool) -> Affine:
        if is_file:
            return compose(scale((1, 1), self._image.stored), self._image.matrix)
        return compose(quarter_turn(copy.rotation or 0, 1, 1), scale((1, 1), self._upright), self._from_upright)

    def _is_mismatch(self, own: tuple[str, str]) -> bool:
        copy = self._copies[own]
        if copy.size is None or (own == self._file and not differ_in_aspect(copy.size, self._image.stored)):
            return False
        return differ_in_aspect(copy.upright(copy.size), self._upright)


class _KnownCopy(typing.NamedTuple):
    """What is known of a copy: its size as published, and the quarter turn that it needs."""

    size: Size | None
    rotation: int | None

    def upright(self, size: Size) -> Size:
        return (size[1], size[0]) if orientation_of_turn(self.rotation or 0) >= 5 else size


_UNLISTED = _KnownCopy(None, None)


def file_rotation(copies: typing.Sequence[Copy], copy_source: str, copy_id: str) -> int | None:
    """Returns by what the pixels of a file are to be turned, degrees counter-clockwise; None leaves that to EXIF.

    Args:
        copies: elements of the row's ``copies``.
        copy_source: as that of :class:`WrittenImage`.
        copy_id: likewise.
    """
    if not copies:
        return None
    known = _by_id(copies)
    return known.get(_file_id(known, copy_source, copy_id), _UNLISTED).rotation


def differ_in_aspect(size: tuple[float, float], photo: tuple[float, float]) -> bool:
    """Tells whether a copy cannot be the same picture as a photo.

    The copy is scaled until its side along the photo's longer one has that length. Then the other sides may differ by
    1 % of the photo's, and by 2 px of the photo anyway.

    Args:
        size: width and height of the copy, upright.
        photo: likewise of the photo as fetched.

    Example:
        >>> differ_in_aspect((640, 480), (500, 375)), differ_in_aspect((640, 480), (500, 379))
        (False, True)
    """
    longer = photo[0] < photo[1]
    other = size[1 - longer] * photo[longer] / size[longer]
    return abs(other - photo[1 - longer]) > max(ASPECT_TOLERANCE * photo[1 - longer], ASPECT_TOLERANCE_PX)


def _by_id(copies: typing.Sequence[Copy]) -> dict[tuple[str, str], _KnownCopy]:
    """Returns the copies by source and id, in their order. Files of different years may list one twice."""
    known: dict[tuple[str, str], _KnownCopy] = {}
    for copy in copies:
        own = copy["source"], copy["image_id"]
        size, rotation = known.get(own, _UNLISTED)
        if size is None and copy["width"] and copy["height"]:
            size = copy["width"], copy["height"]
        if rotation is None and copy["rotation"] in (0, 90, 180, 270):
            rotation = copy["rotation"]
        known[own] = _KnownCopy(size, rotation)
    return known


def _file_id(known: typing.Iterable[tuple[str, str]], source: str, image_id: str) -> tuple[str, str]:
    """Returns which copy a file is; where its id is not known, the only one of its source."""
    same = [own for own in known if own[0] == source and image_id in ("", own[1])]
    return same[0] if len(same) == 1 else (source, image_id)

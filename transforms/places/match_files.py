"""Which file of a place is a photo's, by the names that its sources give it."""

import posixpath
import re
import typing

from schemas.coco import bare_file_name
from transforms.files.image_files import ImageFile, ImagePlaceError, NamedFiles
from transforms.places.photo_refs import CopyRef, PhotoRef
from transforms.places.remote_copies import yfcc_hash

COCO_IDS_BELOW = 1_000_000
"""Where COCO is among the sources, names of twelve digits below this are COCO's, never KEYs: COCO's image ids
reach 581,929, in names that look just like the KEYs of the few photos with Flickr ids as small."""

UNKNOWN_COPY = "flickr"
"""Whose copy a file is that was named by its Flickr id: nobody says which source it came from."""

_COCO_NUMBER = re.compile(r"\d{12}")


class FileMatch(typing.NamedTuple):
    """A photo's file, and whose copy of the photo it is.

    Attributes:
        file: of the place.
        source: ``open_images``, ``coco``, ``flickr8k``, ``yfcc``, or ``flickr`` where that is unknown.
        image_id: the source's id of the copy, '' if it has none of its own.
    """

    file: ImageFile
    source: str
    image_id: str = ""


def match_file(index: NamedFiles, photo: PhotoRef, with_coco: bool) -> FileMatch | None:
    """Returns the photo's file, None if there is none.

    Names are compared less the extension. A name of several files is that of the one which is called exactly as
    the source says, or else lies in the folder of the copy's split, such as ``train2017/``. Of several copies of
    one source the first that has a file counts. A file with several right names is its source's rather than
    Flickr's.

    Args:
        index: of the place.
        photo: to look for.
        with_coco: COCO is among the dataset's sources; see :data:`COCO_IDS_BELOW`.

    Raises:
        ImagePlaceError: two files match; names both.
    """
    found: dict[ImageFile, FileMatch] = {}
    for match in (*_by_copies(index, photo), *_by_photo(index, photo, with_coco)):
        found.setdefault(match.file, match)
    if len(found) > 1:
        one, other = sorted(file.name for file in found)[:2]
        raise ImagePlaceError(
            f"--images is ambiguous for photo {photo.photo_id}: {one} and {other} both match; remove or rename one"
        )
    return next(iter(found.values()), None)


def _by_copies(index: NamedFiles, photo: PhotoRef) -> typing.Iterator[FileMatch]:
    found: set[str] = set()
    for copy in photo.copies:
        if copy.source not in found:
            for file in _files_of(index, copy):
                found.add(copy.source)
                yield FileMatch(file, copy.source, copy.image_id)


def _by_photo(index: NamedFiles, photo: PhotoRef, with_coco: bool) -> typing.Iterator[FileMatch]:
    for file in index.named(yfcc_hash(photo)):
        yield FileMatch(file, "yfcc")
    names = [str(photo.photo_id), f"{photo.photo_id}_"]
    if not (with_coco and photo.photo_id < COCO_IDS_BELOW):
        names.append(photo.key)
    for name in names:
        for file in index.named(name):
            yield FileMatch(file, UNKNOWN_COPY)


def _files_of(index: NamedFiles, copy: CopyRef) -> list[ImageFile]:
    """Returns the files that may be the copy's: more than one only where nothing tells them apart."""
    published = f"{copy.image_id}.jpg" if copy.source == "open_images" else copy.file_name
    name = posixpath.splitext(posixpath.basename(published))[0]
    names = coco_names(name) if copy.source == "coco" else (name,)
    files = [file for name in names for file in index.named(name)]
    exact = [file for file in files if f"/{file.name}".endswith(f"/{published}")]
    files = exact or files
    in_split = [file for file in files if posixpath.basename(posixpath.dirname(file.name)) == copy.split]
    return in_split or files


def coco_names(name: str) -> tuple[str, ...]:
    """Returns the names under which an index has a COCO image, whichever year's name is given.

    Example:
        >>> coco_names("COCO_val2014_000000000042"), coco_names("000000000042"), coco_names("cat")
        (('000000000042', 'COCO_000000000042'), ('000000000042', 'COCO_000000000042'), ('cat',))
    """
    plain = bare_file_name(name)
    return (plain, f"COCO_{plain}") if _COCO_NUMBER.fullmatch(plain) else (plain,)

"""Places of `--images` that are here: a directory, zip or tar, read in place."""

import asyncio
import contextlib

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError, damaged, too_large
from transforms.fetch.flickr_requests import is_placeholder, placeholder
from transforms.fetch.http_fetch import Fetched
from transforms.files.image_files import DAMAGED, ImageFile, ImageFiles, NamedFiles
from transforms.places.match_files import match_file
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_place import FoundCopy, Http

IMAGES = "images"
"""What ``fetched_from`` says of the places of ``--images``."""


class FilesPlace:
    """A directory, zip or tar that the operator names.

    Args:
        files, index: of this place.
        with_coco: as in :class:`transforms.places.image_places.PlacesConfig`.
        http: for the byte cap and the budget.
    """

    kind = IMAGES

    def __init__(self, files: ImageFiles, index: NamedFiles, with_coco: bool, http: Http):
        self._files, self._index, self._with_coco, self._budget = files, index, with_coco, http.budget
        self._max_bytes = http.client.options.max_image_bytes

    async def fetch(self, photo: PhotoRef) -> FoundCopy | None:
        """Reads the file that a name of the photo's matches, in a thread; ImagePlaceError if two files do."""
        match = match_file(self._index, photo, self._with_coco)
        if match is None:
            return None
        file = match.file
        if file.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        with contextlib.ExitStack() as on_failure:
            reservation = on_failure.enter_context(await self._budget.reserve(file.size_bytes))
            data = await asyncio.to_thread(self._read, file)
            if is_placeholder(data, from_flickr=False):
                raise placeholder()
            on_failure.pop_all()
        return FoundCopy(Fetched(data, file.name, -1, 1, reservation), match.source, match.image_id)

    def _read(self, file: ImageFile) -> bytes:
        try:
            data = self._files.read(file, self._max_bytes)
        except FileNotFoundError as error:
            raise FetchError(FailureReason.NOT_FOUND, Stage.FETCH, "the file of --images is gone") from error
        except PermissionError as error:
            raise FetchError(FailureReason.FORBIDDEN, Stage.FETCH, "the file of --images is not readable") from error
        except DAMAGED as error:
            raise damaged() from error
        if len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        return data

"""What the readers of annotation files need to know of other files than the one they read."""

import dataclasses
import functools
import typing

from schemas.flickr8k import Flickr8kKind
from schemas.open_images import OpenImagesKind
from schemas.sources import Source
from transforms.sources.find_open_images import OpenImagesFile, require_open_images
from transforms.sources.input_files import MASK_FILES, InputFile
from transforms.sources.mask_files import MaskFiles, open_masks
from transforms.sources.read_class_files import class_names
from transforms.sources.read_flickr8k import Flickr8kFile, Splits, read_splits


@dataclasses.dataclass(frozen=True)
class AnnotationFiles:
    """All input files; what is read from them for others is read once per process.

    Attributes:
        files: of all sources.
        split: of Open Images' images where no file names one; None if that is not known.
    """

    files: tuple[InputFile, ...]
    split: str | None = None

    def flickr8k(self, url: str) -> Flickr8kFile:
        """Returns a file of Flickr8k by its URL."""
        return next(file for file in _flickr8k(self.files) if file.url == url)

    @property
    def splits(self) -> Splits:
        """The split of each image of Flickr8k."""
        return _splits(_flickr8k(self.files))

    def open_images(self, url: str) -> OpenImagesFile:
        """Returns a file of Open Images by its URL."""
        return _open_images(url)

    @property
    def class_names(self) -> typing.Mapping[str, str]:
        """Display names of Open Images' classes, by class id."""
        return _class_names(_urls(self.files, OpenImagesKind.CLASS_NAMES))

    @property
    def lists_open_images(self) -> bool:
        """Whether a file says which photos Open Images' images are."""
        return bool(_urls(self.files, OpenImagesKind.IMAGES))

    def masks(self, source: Source) -> MaskFiles | None:
        """Returns the mask files of a source; None if none is given."""
        places = tuple(f.url for f in self.files if f.source is source and f.kind == MASK_FILES)
        return open_masks(places) if places else None


def _urls(files: typing.Iterable[InputFile], kind: OpenImagesKind) -> tuple[str, ...]:
    return tuple(f.url for f in files if f.source is Source.OPEN_IMAGES and f.kind == kind.value)


_open_images = functools.cache(require_open_images)


@functools.cache
def _class_names(urls: tuple[str, ...]) -> dict[str, str]:
    return class_names(_open_images(url) for url in urls)


def _flickr8k(files: typing.Iterable[InputFile]) -> tuple[Flickr8kFile, ...]:
    return tuple(Flickr8kFile(f.url, Flickr8kKind(f.kind)) for f in files if f.source is Source.FLICKR8K)


@functools.cache
def _splits(files: tuple[Flickr8kFile, ...]) -> Splits:
    return read_splits(files)

"""What the readers of annotation files need to know of other files than the one they read."""

import dataclasses
import functools
import typing

from schemas.flickr8k import Flickr8kKind
from schemas.sources import Source
from transforms.input_files import InputFile
from transforms.read_flickr8k import Flickr8kFile, Splits, read_splits


@dataclasses.dataclass(frozen=True)
class AnnotationFiles:
    """All input files; what is read from them for others is read once per process.

    Attributes:
        files: of all sources.
    """

    files: tuple[InputFile, ...]

    def flickr8k(self, url: str) -> Flickr8kFile:
        """Returns a file of Flickr8k by its URL."""
        return next(file for file in _flickr8k(self.files) if file.url == url)

    @property
    def splits(self) -> Splits:
        """The split of each image of Flickr8k."""
        return _splits(_flickr8k(self.files))


def _flickr8k(files: typing.Iterable[InputFile]) -> tuple[Flickr8kFile, ...]:
    return tuple(Flickr8kFile(f.url, Flickr8kKind(f.kind)) for f in files if f.source is Source.FLICKR8K)


@functools.cache
def _splits(files: tuple[Flickr8kFile, ...]) -> Splits:
    return read_splits(files)

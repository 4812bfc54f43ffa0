"""Which files the source flags name, and what each one is."""

import logging
import typing

import fsspec

from schemas.open_images import OpenImagesKind, split_of
from schemas.records import PlanInput
from schemas.sources import ALL_SOURCES, Source
from schemas.yfcc import Pack
from transforms.sources.find_open_images import find_open_images
from transforms.sources.find_open_images import refusal_of as open_images_refusal
from transforms.sources.find_yfcc import find_yfcc, stated_pack
from transforms.sources.input_files import (
    MASK_FILES,
    SIDE_KINDS,
    InputError,
    InputFile,
    fingerprint,
    list_files,
    size_of,
)
from transforms.sources.json_stream import BadJsonError
from transforms.sources.mask_files import is_mask_zip
from transforms.sources.read_coco import coco_urls, looks_like_coco
from transforms.sources.read_flickr8k import find_flickr8k
from transforms.sources.read_flickr8k import refusal_of as flickr8k_refusal

_log = logging.getLogger("photobeam")

BZ2_EXPANSION = 5
"""Decoded bytes per byte of bz2, for estimates: text of this kind gives 4 to 5."""

BUCKET_BYTES = 64 << 20
"""Decoded input per bucket: about as much memory again for its Arrow form, per thread."""

_MAX_BUCKET_BITS = 12
_WITH_MASKS = (Source.COCO, Source.OPEN_IMAGES)
"""Sources that keep masks in PNG files: a directory of these is one input."""


class FoundInputs(typing.NamedTuple):
    """The files of all sources.

    Attributes:
        files: recognised ones, sorted by source, kind and URL.
        left_out: files of directories and globs that are of no known kind.
    """

    files: list[InputFile]
    left_out: list[str]

    def plan_inputs(self) -> list[PlanInput]:
        """Returns the files as a plan lists them."""
        return [PlanInput(f.url, f"{f.source.value}/{f.kind}", f.size, f.fingerprint) for f in self.files]


def find_inputs(specs: typing.Mapping[Source, typing.Iterable[str]]) -> FoundInputs:
    """Finds and recognises the files of each source.

    Args:
        specs: by source, files, directories, globs or fsspec URLs; ``PACK=PATH`` states a pack of YFCC.

    Raises:
        InputError: a name leads nowhere, or a file is empty, unreadable or of no kind of its source.
    """
    files: dict[str, InputFile] = {}
    left_out: list[str] = []
    for source, paths in specs.items():
        for spec in paths:
            pack, path = stated_pack(spec) if source is Source.YFCC else (None, spec)
            for url, named in list_files(f"--{source.value}", path):
                if source in _WITH_MASKS and url.lower().endswith(".png"):
                    url = url.rpartition("/")[0]
                if url in files:
                    continue
                found = _recognise(source, url, pack, named)
                files |= {file.url: file for file in found}
                left_out += [] if found else [url]
    order = list(Source)
    ordered = sorted(files.values(), key=lambda f: (order.index(f.source), f.kind, f.url))
    return FoundInputs(ordered, sorted(set(left_out)))


def check_base(found: FoundInputs, base: str) -> None:
    """Checks that the files say whose photos make the dataset.

    Args:
        found: the inputs.
        base: a source, or ``all``.

    Raises:
        InputError: no file names photos of the base.
    """
    naming = {f.source.value for f in found.files if _names_photos(f)}
    if not naming or base not in (*naming, ALL_SOURCES):
        left_out = f" (not recognised: {', '.join(found.left_out)})" if found.left_out else ""
        if base == Source.YFCC.value:
            raise InputError(
                f"--yfcc: no yfcc100m_dataset among the files{left_out}; the other packs name no photos of their own"
            )
        raise InputError(f"--base {base}: none of the files names photos of that source{left_out}; give some")


def lacks_image_lists(found: FoundInputs) -> bool:
    """Tells whether Open Images is given without a file that says which photos its images are."""
    kinds = {f.kind for f in found.files if f.source is Source.OPEN_IMAGES} - SIDE_KINDS
    return bool(kinds) and OpenImagesKind.IMAGES.value not in kinds


def check_names_splits(found: FoundInputs) -> None:
    """Checks that the split of every image can be known without being told.

    Raises:
        InputError: a file of Open Images neither names its split nor comes with a list of images.
    """
    if lacks_image_lists(found):
        files = [f.url for f in found.files if f.source is Source.OPEN_IMAGES and f.kind not in SIDE_KINDS]
        if unnamed := [url for url in files if split_of(url) is None]:
            raise InputError(
                f"--by_split: nothing says which split the images of {unnamed[0]} are in; add a list of the images, "
                "name its split in its file name, or give --split instead"
            )


def decoded_bytes(files: typing.Iterable[InputFile]) -> int:
    """Estimates the size of all input after decompression."""
    return sum(f.size * (BZ2_EXPANSION if f.compressed else 1) for f in files)


def bucket_bits(files: typing.Iterable[InputFile]) -> int:
    """Returns log2 of the number of buckets, so that each fits into memory."""
    return min(_MAX_BUCKET_BITS, max(0, (decoded_bytes(files) - 1) // BUCKET_BYTES).bit_length())


def _names_photos(file: InputFile) -> bool:
    return file.kind == Pack.DATASET.value if file.source is Source.YFCC else file.kind not in SIDE_KINDS


def _recognise(source: Source, url: str, pack: Pack | None, named: bool) -> list[InputFile]:
    if source is Source.YFCC:
        found = find_yfcc(url, pack, named)
        return [found] if found else []
    try:
        kinds = _kinds_with_masks(source, url) if source in _WITH_MASKS else _KINDS[source](url)
        files = [InputFile(u, source, kind, 0, size_of(u), False, fingerprint(u)) for u, kind in kinds]
    except (OSError, BadJsonError) as error:
        raise InputError(f"--{source.value} {url}: cannot be read ({error})") from error
    why = None if files else _REFUSALS.get(source, _no_refusal)(url)
    if named and not files:
        raise InputError(f"--{source.value} {url}: {why or 'is no annotation file of this source'}; check the file")
    if why:
        _log.warning("--%s %s is left out: it %s", source.value, url, why)
    return files


def _kinds_with_masks(source: Source, url: str) -> list[tuple[str, str]]:
    fs, path = fsspec.url_to_fs(url)
    if fs.isdir(path):
        return [(url, MASK_FILES)]
    return ([(url, MASK_FILES)] if is_mask_zip(url) else []) + _KINDS[source](url)


def _coco(url: str) -> list[tuple[str, str]]:
    members = coco_urls(url)
    known = [member for member in members if looks_like_coco(member)]
    if unknown := [member for member in members if member not in known and member != url]:
        _log.warning("--coco: left out, of no known kind: %s", ", ".join(unknown))
    return [(member, "annotations") for member in known]


def _open_images(url: str) -> list[tuple[str, str]]:
    found = find_open_images(url)
    return [(url, found.kind.value)] if found else []


def _flickr8k(url: str) -> list[tuple[str, str]]:
    found = find_flickr8k(url)
    return [(url, found.kind.value)] if found else []


def _no_refusal(url: str) -> None:
    """Says nothing of a file, as there is nothing to say."""


_REFUSALS: typing.Final = {Source.OPEN_IMAGES: open_images_refusal, Source.FLICKR8K: flickr8k_refusal}
_KINDS: typing.Final = {Source.COCO: _coco, Source.OPEN_IMAGES: _open_images, Source.FLICKR8K: _flickr8k}

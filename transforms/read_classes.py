"""Reads which classes the input files name: lists and trees of Open Images, categories of COCO."""

import typing

from schemas.classes import KnownClasses
from schemas.open_images import Layout, OpenImagesKind
from schemas.sources import Source
from schemas.yfcc import Pack
from transforms.find_open_images import BadOpenImagesError, OpenImagesFile
from transforms.input_files import InputError, InputFile
from transforms.json_stream import BadJsonError
from transforms.read_class_files import class_names, read_hierarchy
from transforms.read_coco import read_category_names


def known_classes(files: typing.Sequence[InputFile], with_autotags: bool) -> KnownClasses:
    """Reads the classes that can be asked for.

    Args:
        files: all input files.
        with_autotags: whether autotags count, which have no list of names.

    Raises:
        InputError: a file cannot be read; or autotags count, but are not among the files.
    """
    if with_autotags and not any(f.kind == Pack.AUTOTAGS.value for f in files if f.source is Source.YFCC):
        raise InputError("--class_evidence autotags: no yfcc100m_autotags among the files of --yfcc; add it")
    try:
        names = class_names(_open_images(files, OpenImagesKind.CLASS_NAMES))
        trees = [read_hierarchy(file).by_mid(names) for file in _open_images(files, OpenImagesKind.HIERARCHY)]
        coco = {name for f in files if f.source is Source.COCO for name in read_category_names(f.url)}
    except (BadJsonError, BadOpenImagesError, OSError) as error:
        raise InputError(f"--classes: {error}") from error
    any_mid = not names and any(f.source is Source.OPEN_IMAGES for f in files)
    return KnownClasses(names, trees, sorted(coco), any_mid, with_autotags)


def _open_images(files: typing.Iterable[InputFile], kind: OpenImagesKind) -> list[OpenImagesFile]:
    found = [f for f in files if f.source is Source.OPEN_IMAGES and f.kind == kind.value]
    return [OpenImagesFile(f.url, Layout(kind)) for f in found]

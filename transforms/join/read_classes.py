"""Reads which classes the input files name: lists and trees of Open Images, categories of COCO."""

import typing

from schemas.classes import ChosenClass, KnownClasses, UnknownClassError
from schemas.open_images import Layout, OpenImagesKind
from schemas.sources import Source
from schemas.yfcc import Pack
from transforms.join.class_evidence import Evidence
from transforms.join.filter_rows import RowSelection
from transforms.sources.find_open_images import OpenImagesFile
from transforms.sources.input_files import MASK_FILES, InputError, InputFile
from transforms.sources.read_class_files import class_names, read_hierarchy
from transforms.sources.read_coco import read_category_names


def choose_classes(selection: RowSelection, files: typing.Sequence[InputFile]) -> tuple[ChosenClass, ...]:
    """Finds the labels of the classes that are asked for; reads files only if there are any.

    Args:
        selection: which rows are kept.
        files: all input files.

    Raises:
        InputError: nobody has such a class, or a file that names classes cannot be read.
    """
    if not selection.classes:
        return ()
    known = known_classes(files, Evidence.AUTOTAGS.value in selection.class_evidence)
    try:
        return tuple(known.choose(name) for name in selection.classes)
    except UnknownClassError as error:
        raise InputError(f"--classes: {error}") from error


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
        lists = [f.url for f in files if f.source is Source.COCO and f.kind != MASK_FILES]
        coco = {name for url in lists for name in read_category_names(url)}
    except (InputError, OSError) as error:
        raise InputError(f"--classes: {error}") from error
    any_mid = not names and any(f.source is Source.OPEN_IMAGES for f in files)
    return KnownClasses(names, trees, sorted(coco), any_mid, with_autotags)


def _open_images(files: typing.Iterable[InputFile], kind: OpenImagesKind) -> list[OpenImagesFile]:
    found = [f for f in files if f.source is Source.OPEN_IMAGES and f.kind == kind.value]
    return [OpenImagesFile(f.url, Layout(kind)) for f in found]

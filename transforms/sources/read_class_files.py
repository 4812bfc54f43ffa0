"""Reads lists of classes and the class hierarchy: files of a megabyte at most, at once."""

import json
import typing

import fsspec

from schemas.class_hierarchy import BadHierarchyError, Hierarchy, read_hierarchy_tree
from schemas.class_names import BadClassListError, read_class_names
from transforms.sources.find_open_images import BadOpenImagesError, OpenImagesFile

_MAX_BYTES = 64 << 20


def class_names(files: typing.Iterable[OpenImagesFile]) -> dict[str, str]:
    """Reads lists of classes: the display name of each class id.

    Of a class that has several names, the first by code point counts, whatever the order of files.

    Raises:
        BadOpenImagesError: a file has a line that is no class id and name.
    """
    names: dict[str, str] = {}
    for file in files:
        try:
            found = read_class_names(_text(file.url))
        except BadClassListError as error:
            raise BadOpenImagesError(file.url, str(error)) from error
        for mid, name in found.items():
            names[mid] = min(name, names.get(mid, name))
    return names


def read_hierarchy(file: OpenImagesFile) -> Hierarchy:
    """Reads the tree of classes.

    Raises:
        BadOpenImagesError: the file is damaged or no tree of classes.
    """
    try:
        return read_hierarchy_tree(json.loads(_text(file.url)))
    except RecursionError as error:
        raise BadOpenImagesError(file.url, "is nested too deep for a tree of classes") from error
    except json.JSONDecodeError as error:
        raise BadOpenImagesError(file.url, f"is damaged JSON ({error})") from error
    except BadHierarchyError as error:
        raise BadOpenImagesError(file.url, str(error)) from error


def _text(url: str) -> str:
    with fsspec.open(url, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise BadOpenImagesError(url, f"is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadOpenImagesError(url, f"line {line} is not valid UTF-8: save it as UTF-8") from error

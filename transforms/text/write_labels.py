"""Label arrays of a shard, a row for each photo that has a row of tokens, and lists of classes."""

import dataclasses
import functools
import json
import typing

import pyarrow as pa

from schemas import layout
from schemas.label_files import (
    ABSENT,
    AUTOTAGS,
    COCO,
    ONE_HOT,
    OPEN_IMAGES,
    SINGLE,
    SINGLE_SCHEMA,
    VALUES,
    labels_file,
)
from schemas.photo_ids import key
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.text.label_maps import LabelClass, LabelMap
from transforms.text.labels import (
    NO_CLASS,
    PhotoLabels,
    autotag_values,
    coco_values,
    one_hot,
    open_images_values,
)
from transforms.text.read_captions import read_photos
from transforms.text.shard_files import npy_bytes, parquet_bytes, write_shard_files

LABELS_KIND = "labels"
"""Of files, see :func:`transforms.text.shard_files.noted_files`."""

_COLUMNS = {COCO: ("boxes",), OPEN_IMAGES: ("boxes", "image_labels"), AUTOTAGS: ("autotags",)}
_VALUES: typing.Final[dict[str, typing.Callable[[pa.Table, LabelMap], PhotoLabels]]] = {
    COCO: coco_values,
    OPEN_IMAGES: open_images_values,
    AUTOTAGS: autotag_values,
}


def note_map(scratch: Scratch, labels: str, label_map: LabelMap) -> None:
    """Writes down the columns of a set of labels, for the workers."""
    with scratch.writing(_map_name(labels)) as path:
        path.write_text(json.dumps([label_map.classes, [*label_map.ancestors.items()]]))


@dataclasses.dataclass(frozen=True)
class WriteLabels:
    """Writes the labels of a shard.

    Attributes:
        output: the dataset.
        scratch: has what :func:`note_map` wrote; gets what was made of each shard.
        sets: of labels.
    """

    output: Output
    scratch: Scratch
    sets: tuple[str, ...]

    def __call__(self, shard: int) -> int:
        """Writes the files; returns the number of photos."""
        columns = sorted({column for labels in self.sets for column in _COLUMNS[labels]})
        photos = read_photos(self.output, self.scratch, shard, ["photo_id", *columns])
        files, counts = dict[str, bytes](), dict[str, int]()
        for labels in self.sets:
            label_map = _read_map(self.scratch, labels)
            found = _VALUES[labels](photos, label_map)
            files.update(_files(labels, shard, photos, found, label_map))
            counts.update({f"{labels}_{name}": number for name, number in _counts(found).items()})
        write_shard_files(self.output, self.scratch, LABELS_KIND, shard, files, counts)
        return photos.num_rows


@dataclasses.dataclass(frozen=True)
class ListAutotags:
    """Writes down which autotags the photos of a shard have.

    Attributes:
        output: the dataset.
        scratch: gets a file for each shard.
    """

    output: Output
    scratch: Scratch

    def __call__(self, shard: int) -> int:
        """Writes the file; returns the number of photos."""
        photos = read_photos(self.output, self.scratch, shard, ["photo_id", "autotags"])
        names = photos["autotags"].combine_chunks().flatten().field("name").unique().to_pylist()
        with self.scratch.writing(_autotags_name(shard)) as path:
            path.write_text(json.dumps(names))
        return photos.num_rows


def listed_autotags(scratch: Scratch, shards: int) -> set[str]:
    """Returns the autotags of all shards together, which :class:`ListAutotags` wrote down."""
    listed = scratch.read_files(map(_autotags_name, range(shards)))
    return {name for names in listed for name in json.loads(names)}


def _files(labels: str, shard: int, photos: pa.Table, found: PhotoLabels, label_map: LabelMap) -> dict[str, bytes]:
    arrays = {VALUES: found.values, ONE_HOT: one_hot(found.class_ids, label_map.columns)}
    if found.absent is not None:
        arrays[ABSENT] = found.absent
    keys = pa.array(map(key, photos["photo_id"].to_pylist()), pa.string())
    class_ids = pa.array(found.class_ids, mask=found.class_ids == NO_CLASS)
    table = pa.table([photos["photo_id"], keys, class_ids], schema=SINGLE_SCHEMA)
    files = {labels_file(labels, shard, what): npy_bytes(array) for what, array in arrays.items()}
    return {**files, labels_file(labels, shard, SINGLE): parquet_bytes(table)}


def _counts(found: PhotoLabels) -> dict[str, int]:
    labelled = int(found.values.any(axis=1).sum())
    return {
        "photos_labelled": labelled,
        "photos_without_labels": len(found.values) - labelled,
        "photos_of_one_class": int((found.class_ids != NO_CLASS).sum()),
        "labels_of_unknown_classes": found.unknown,
        "labels_by_machines": found.by_machine,
    }


@functools.lru_cache(len(_VALUES))
def _read_map(scratch: Scratch, labels: str) -> LabelMap:
    classes, ancestors = json.loads(scratch.local(_map_name(labels)).read_text())
    return LabelMap(tuple(LabelClass(*c) for c in classes), {column: tuple(above) for column, above in ancestors})


def _map_name(labels: str) -> str:
    return f"labels/{labels}.json"


def _autotags_name(shard: int) -> str:
    return f"autotags/{layout.shard_name(shard)}.json"

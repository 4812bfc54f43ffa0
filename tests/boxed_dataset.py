"""A small dataset of three shards with boxes, captions, outlines and keypoints of COCO and Open Images in pixels."""

import pathlib
import typing

import numpy as np
import pyarrow as pa

from schemas.photo_ids import hash64, key, shards_of
from schemas.rows import ROW_SCHEMA
from tests.annotated_photos import copy, element
from tests.factories import SHARDS, make_row, stage_shard, write_input_failures, write_records
from transforms.geometry.map_masks import encode_rle

Row = dict[str, typing.Any]

PHOTO_IDS = (*range(6_985_418_911, 6_985_418_921), 7)
WIDTH, HEIGHT = 32, 24
"""Of every image."""

ODD_NAMES = {"/m/01": "Polar bear", "/m/02": 'a/b & "c" <d>', "/m/03": "l'été\n世界", "/m/04": ".."}
"""Open Images' classes by label id."""

_EDGES = ("xmin", "ymin", "xmax", "ymax")

PERSON_POINTS = [f"point {i}" for i in range(17)]


def coco_box(own_id: int, label_id: int, label: str, edges: typing.Sequence[float], **values: typing.Any) -> Row:
    """A box of COCO, px of the written image."""
    values = {"is_crowd": 0, "is_group_of": -1, "is_truncated": -1, "is_occluded": -1, **values}
    return element("boxes", annotation_id=own_id, label_id=str(label_id), label=label, **_edges(edges), **values)


def open_images_box(label_id: str, edges: typing.Sequence[float], **values: typing.Any) -> Row:
    """A box of Open Images, px of the written image."""
    values = {"is_crowd": -1, "is_group_of": 0, "is_truncated": 0, "is_occluded": 1, **values}
    own = {"source": "open_images", "image_id": "00a1", "label_id": label_id, "label": ODD_NAMES[label_id]}
    return element("boxes", **own, **_edges(edges), **values)


def boxed_row(photo_id: int) -> Row:
    """A row with annotations; of photo 7 without any."""
    row = make_row(photo_id)
    if photo_id == 7:
        return row
    own_id, shift = photo_id % 100, (photo_id % 10) / 8
    boxes = [
        coco_box(10 * own_id, 18, "dog", (1.25 + shift, 2.5, 11.5 + shift, 12.75), area=60.5),
        coco_box(10 * own_id + 1, 1, "person", (0.0, 0.0, 32.0, 24.0)),
        coco_box(10 * own_id + 2, 1, "person", (3.0, 3.0, 30.0, 20.0), is_crowd=1),
        coco_box(10 * own_id + 3, 1, "person", (5.0, 5.0, 5.0, 9.0)),
        coco_box(10 * own_id + 4, 1, "person", (5.1, 5.0, 5.3, 9.0)),
        open_images_box(f"/m/0{1 + photo_id % 4}", (8.0 + shift, 4.0, 20.25, 23.5), is_group_of=photo_id % 2),
    ]
    polygon = [1.25 + shift, 2.5, 11.5 + shift, 2.5, 11.5 + shift, 12.75]
    points = {"x": [2.0] * 17, "y": [3.5] * 17, "visibility": [2, 1] + [0] * 15, "names": PERSON_POINTS}
    annotations = {"annotation_id": 10 * own_id, "label_id": "18", "label": "dog"}
    return {
        **row,
        "sources": ["coco", "open_images", "yfcc"],
        "copies": [
            {**copy("coco", "1", (64, 48)), "split": "val2017" if photo_id % 2 else "train2017"},
            {**copy("open_images", "00a1"), "split": "validation"},
        ],
        "boxes": boxes,
        "segments": [
            element("segments", kind="instance", polygons=[polygon], area=60.5, **annotations),
            mask_of(boxes[5]),
            element("segments", kind="stuff", polygons=[polygon], **{**annotations, "annotation_id": 5}),
        ],
        "keypoints": [element("keypoints", annotation_id=10 * own_id + 1, label_id="1", label="person", **points)],
        "captions": [
            element("captions", caption_id=own_id, text='A "dog" & 犬.', is_lemma=False),
            element("captions", caption_id=own_id, text="dog", is_lemma=True),
        ],
        "coco_split": "val2017" if photo_id % 2 else "train2017",
        "open_images_split": "validation",
        "coco_image_id": 1,
    }


def mask_of(box: Row) -> Row:
    """The mask of a box of Open Images: the upper left pixel of the image, wherever the box is."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[0, 0] = True
    fields = {name: box[name] for name in ("source", "image_id", "label_id", "label", *_EDGES)}
    size = {"rle_height": HEIGHT, "rle_width": WIDTH}
    return element("segments", kind="mask", polygons=[], rle_counts=encode_rle(mask)["counts"], **size, **fields)


def make_boxed_dataset(root: pathlib.Path, failed: typing.Container[int] = ()) -> pathlib.Path:
    """Writes the dataset; returns where it is."""
    ids = np.array(PHOTO_IDS, np.int64)
    shard_of = shards_of(hash64(ids), SHARDS)
    commits = []
    for shard in range(SHARDS):
        own = sorted(ids[shard_of == shard].tolist(), key=key)
        table = pa.Table.from_pylist([boxed_row(photo_id) for photo_id in own], ROW_SCHEMA)
        commits.append(stage_shard(shard, table, root, failed))
    write_input_failures(root)
    write_records(root, commits)
    return root


def _edges(edges: typing.Sequence[float]) -> dict[str, float]:
    return dict(zip(_EDGES, edges, strict=True))

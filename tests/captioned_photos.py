"""A whole dataset of photos with captions, made without a job; and the captions as its rows have them."""

import pathlib
import typing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.photo_ids import hash64, key, shards_of
from schemas.rows import ROW_SCHEMA
from tests.annotated_photos import copy, element
from tests.factories import make_rows, stage_shard, write_input_failures, write_records

CAPTIONS: dict[int, list[str]] = {
    11: ["A dog runs on a beach.", "the Dog runs , and a man's hat flies ."],
    12: ["Two men can't ride one bike, gonna fall!", ""],
    13: [],
    14: ["Ein großer Hund läuft 🙂", "一只狗 在 跑", "İstanbul"],
    15: ["A dog. A cat. A man with \"quotes\" and 'more'."],
    16: ["word " * 20_000],
    17: ["a zebra stands"],
    18: ["a dog on a beach", "a dog"],
}
SPLITS = {11: "train2017", 12: "train", 13: "train", 14: "train", 17: "val2017", 18: "train"}
FAILED = 18


def make_captioned(
    root: pathlib.Path,
    captions: typing.Mapping[int, typing.Sequence[str]] = CAPTIONS,
    splits: typing.Mapping[int, str] = SPLITS,
    failed: typing.Container[int] = (FAILED,),
    further: typing.Callable[[int], dict[str, typing.Any]] = lambda photo_id: {},
) -> pathlib.Path:
    """Writes a dataset of two shards; ``further`` gives other columns of a photo."""
    ids = np.array(sorted(captions), np.int64)
    shard_of = shards_of(hash64(ids), 2)
    commits = []
    for shard in range(2):
        rows = make_rows(sorted(ids[shard_of == shard].tolist(), key=key)).to_pylist()
        for row in rows:
            photo_id = row["photo_id"]
            texts = captions[photo_id]
            row["captions"] = [
                element("captions", image_id=str(photo_id), caption_id=100 * photo_id + i, text=text, is_lemma=False)
                for i, text in enumerate(texts)
            ]
            row["copies"] = [copy("coco", str(photo_id)) | {"split": splits.get(photo_id)}]
            row.update(further(photo_id))
        commits.append(stage_shard(shard, pa.Table.from_pylist(rows, ROW_SCHEMA), root, failed))
    write_input_failures(root)
    write_records(root, commits)
    return root


def captions_in_order(root: pathlib.Path) -> list[tuple[int, list[str]]]:
    """Photos of a dataset's rows with their captions, in the order of shards and rows."""
    tables = [pq.read_table(path) for path in sorted((root / "rows").glob("*.parquet"))]
    return [
        (row["photo_id"], [caption["text"] for caption in row["captions"]])
        for table in tables
        for row in table.select(["photo_id", "captions"]).to_pylist()
    ]

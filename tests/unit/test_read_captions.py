"""Captions are read of the photos that have an image."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from tests.captioned_photos import CAPTIONS, FAILED, captions_in_order, make_captioned
from transforms.datasets.finished_dataset import open_finished
from transforms.datasets.shard_sources import note_sources
from transforms.files.file_digest import file_digest
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch
from transforms.text.read_captions import read_captions
from transforms.text.text_options import TextOptions


def test_failures_and_videos_are_left_out(tmp_path: pathlib.Path) -> None:
    root, scratch = make_captioned(tmp_path / "dataset"), LocalScratch(tmp_path / "scratch")
    dataset, (video, _) = open_finished(str(root)), captions_in_order(root)[0]
    path = root / layout.video_sidecar_file(0)
    path.parent.mkdir()
    pq.write_table(pa.table({"photo_id": pa.array([video], pa.int64())}), path)
    dataset.sha256[0][layout.video_sidecar_file(0)] = file_digest(path).sha256
    note_sources(dataset.sha256, scratch)
    found = [read_captions(LocalOutput(root), scratch, shard, TextOptions(tokenizer="keras")) for shard in range(2)]
    photos = [photo for shard in found for photo in shard.photos["photo_id"].to_pylist()]
    assert sorted(photos) == sorted(CAPTIONS.keys() - {FAILED, video})
    assert [text for shard in found for text in shard.texts()] == [
        text for photo, texts in captions_in_order(root) if photo in photos for text in texts
    ]

"""Photos, columns and pictures of two datasets are compared, whatever the numbers of shards."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from schemas.failures import FAILURE_SCHEMA
from schemas.photo_ids import shards_of
from schemas.samples import SIDECAR_SCHEMA
from tests.factories import make_rows
from transforms.compare.compare_datasets import hash_ranges
from transforms.compare.compare_images import ImageChange, compare_pictures
from transforms.compare.compare_photos import aligned, compare_photos, differing_places
from transforms.datasets.finished_dataset import ShardTables


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 3), (1, 7), (5, 3), (10, 4), (1000, 999), (0, 0), (0, 2)])
def test_ranges_cover_all_hashes_and_lie_in_one_shard_of_each(a: int, b: int) -> None:
    ranges = list(hash_ranges(a, b))
    assert (ranges[0].begin, ranges[-1].end) == (0, 2**64)
    assert all(first.end == second.begin for first, second in itertools.pairwise(ranges))
    assert len(ranges) <= max(a, 1) + max(b, 1) - 1
    for part in ranges:
        ends = np.array([part.begin, part.end - 1], np.uint64)
        assert set(shards_of(ends, max(a, 1)).tolist()) == {part.shard_a}
        assert set(shards_of(ends, max(b, 1)).tolist()) == {part.shard_b}


@pytest.mark.parametrize("seed", range(5))
def test_places_that_differ_are_found_in_nested_columns(seed: int) -> None:
    rnd = random.Random(seed)
    values = [rnd.choice([None, [], [{"x": rnd.random(), "t": None}] * rnd.randrange(4)]) for _ in range(500)]
    changed = sorted(rnd.sample(range(500), rnd.choice([0, 1, 7, 500])))
    others = [[{"x": 2.0, "t": "other"}] if i in changed else value for i, value in enumerate(values)]
    type_ = pa.list_(pa.struct([("x", pa.float64()), ("t", pa.string())]))
    a = pa.chunked_array([pa.array(values[:100], type_), pa.array(values[100:], type_)])
    b = pa.chunked_array([pa.array(others[:333], type_), pa.array(others[333:], type_)])
    assert differing_places(a, b) == changed


def test_a_null_is_not_an_empty_string() -> None:
    a, b = pa.chunked_array([["", None, "x"]]), pa.chunked_array([[None, None, "x"]])
    assert differing_places(a, b) == [0]


def test_rows_are_aligned_by_their_ids() -> None:
    a, b = aligned(make_rows([7, 9, 3, 2**62 + 5]), make_rows([2**62 + 5, 1, 9, 3]))
    assert a["photo_id"].to_pylist() == b["photo_id"].to_pylist() == [3, 9, 2**62 + 5]
    assert a.equals(b)


def _rows_alone(ids: list[int]) -> ShardTables:
    return ShardTables(make_rows(ids), SIDECAR_SCHEMA.empty_table(), FAILURE_SCHEMA.empty_table())


def test_photos_come_in_order_of_their_ids() -> None:
    differences = compare_photos(_rows_alone([5, 1, 3]), _rows_alone([2, 3, 9]), lambda *_: ())
    found = [(d.photo_id, d.change.value) for d in differences]
    assert found == [(1, "removed"), (2, "added"), (5, "removed"), (9, "added")]
    assert list(compare_photos(_rows_alone([]), _rows_alone([]), lambda *_: ())) == []


def _picture(colour: tuple[int, int, int] = (9, 99, 200), size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize(
    ("other", "formats", "expected"),
    [
        (_picture(), ("jpg", "jpg"), (ImageChange.BYTES, "", 0)),
        (_picture((9, 99, 203)), ("jpg", "jpg"), (ImageChange.PIXELS, "", 3)),
        (_picture((9, 94, 203)), ("jpg", "jpg"), (ImageChange.PIXELS, "", 5)),
        (_picture(size=(6, 8)), ("jpg", "jpg"), (ImageChange.SIZE, "8 x 6 px became 6 x 8 px", None)),
        (_picture(), ("jpg", "png"), (ImageChange.FORMAT, "jpg became png", None)),
        (_picture(size=(6, 8)), ("jpg", "png"), (ImageChange.SIZE, "8 x 6 px became 6 x 8 px", None)),
    ],
)
def test_pictures_differ_in_size_format_pixels_or_bytes(
    other: Image.Image, formats: tuple[str, str], expected: tuple[ImageChange, str, int | None]
) -> None:
    assert compare_pictures(_picture(), other, formats, 64) == (64, *expected)


def test_one_pixel_is_enough() -> None:
    other = _picture()
    other.putpixel((7, 5), (9, 99, 199))
    assert compare_pictures(_picture(), other, ("png", "png")).max_difference == 1

"""Marks drawn in photos that are built into a shard are found under the annotations of every source's copy."""

import asyncio
import collections
import contextlib
import hashlib
import io
import itertools
import json
import pathlib
import tarfile
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from schemas import layout
from schemas.photo_ids import key
from schemas.rows import ROW_SCHEMA
from schemas.samples import SAMPLE_COLUMNS
from tests.annotated_photos import CENTRES, MARKS, OPEN_IMAGES_ID, SIZE, annotated_row, mapped_box, photo_file
from tests.factories import make_row
from tests.unit.test_map_masks import beyond_a_pixel
from transforms.building import build_shard
from transforms.building.fetch_loop import run_in_loop, shared_fetching
from transforms.building.shard_config import ShardConfig
from transforms.fetch.fetch_options import FetchOptions
from transforms.geometry import affine
from transforms.geometry.map_masks import decode_rle
from transforms.images.image_codec import ImageOptions
from transforms.images.image_plan import RESIZE_MODES
from transforms.places.image_places import FoundImage, PhotoRef, PlacesConfig
from transforms.stores.output import LocalOutput
from transforms.verify.verify_geometry import geometry_problems

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Row = dict[str, typing.Any]
Pixels = npt.NDArray[np.int64]
EDGES = ("xmin", "ymin", "xmax", "ymax")
EXIF_OF_ROTATION = {0: 1, 90: 8, 180: 3, 270: 6}
FILES = {"yfcc": ("flickr", ""), "coco": ("coco", "1"), "open_images": ("open_images", OPEN_IMAGES_ID)}
"""Whose copy a file is, to ``copy_source`` and ``copy_id``."""

FETCH, PLACES = FetchOptions(), PlacesConfig(images=())

SCALING_MODES = [mode for mode in RESIZE_MODES if mode != "none"]
CASES = list(itertools.product(FILES, (None, 0, 90, 180, 270), range(1, 9)))
"""Whose copy the file is, Open Images' rotation, and EXIF orientation of the file."""


class Built(typing.NamedTuple):
    """A shard that was built: its samples with the pixels of their images, its log, and all images by extension."""

    samples: list[tuple[Row, Pixels]]
    table: pa.Table
    log: Row
    images: dict[str, list[Pixels]]


@pytest.fixture(scope="module", autouse=True)
def closed_client() -> typing.Iterator[None]:
    """Closes the client that shards built in this process share."""
    yield
    run_in_loop(shared_fetching(FETCH, PLACES).client.close())
    shared_fetching.cache_clear()


@pytest.fixture
def build(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> typing.Callable[..., Built]:
    """Builds one shard of rows, from files in memory."""

    def run(rows: typing.Sequence[Row], files: dict[int, tuple[bytes, str, str]], **options: typing.Any) -> Built:
        @contextlib.asynccontextmanager
        async def fetch(_: typing.Any, photo: PhotoRef) -> typing.AsyncIterator[FoundImage]:
            await asyncio.sleep(0)
            data, source, image_id = files[photo.photo_id]
            yield FoundImage(data, "", 200, 1, "mirror", source, image_id)

        monkeypatch.setattr(build_shard, "fetch_image", fetch)
        table = pa.Table.from_pylist(sorted(rows, key=lambda r: key(r["photo_id"])), ROW_SCHEMA)
        path = tmp_path / layout.rows_file(0)
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        image = ImageOptions(**{"format": "png", "filter": "bicubic", **options})
        config = ShardConfig(
            output=LocalOutput(tmp_path),
            folder=tmp_path / "_tmp",
            image=image,
            fetch=FETCH,
            places=PLACES,
            format={"format": image.format, "image_size": list(image.sizes)},
        )
        build_shard.build_shard(0, hashlib.sha256(path.read_bytes()).hexdigest(), config)
        sidecar = pq.read_table(tmp_path / layout.sidecar_file(0))
        assert geometry_problems(table, sidecar) == []
        with tarfile.open(tmp_path / layout.tar_file(0)) as tar:
            images: dict[str, list[Pixels]] = collections.defaultdict(list)
            for member in (m for m in tar if m.name.endswith(".png")):
                pixels = np.asarray(Image.open(io.BytesIO(_data(tar, member)))).astype(np.int64)
                images[member.name.partition(".")[2]].append(pixels)
            texts = [json.loads(_data(tar, m)) for m in tar if m.name.endswith(".json")]
        assert [t["boxes"] for t in texts] == [_in_json(row["boxes"]) for row in sidecar.to_pylist()]
        samples = list(zip(sidecar.to_pylist(), images["png"], strict=True))
        return Built(samples, sidecar, json.loads((tmp_path / layout.log_file(0)).read_bytes()), images)

    return run


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return typing.cast(typing.IO[bytes], tar.extractfile(member)).read()


def _in_json(boxes: list[Row]) -> list[Row]:
    missing: Row = {"confidence": -999.0, "annotator": "", "label": ""}
    missing |= dict.fromkeys(("is_crowd", "is_occluded", "is_truncated", "is_group_of", "is_depiction"), -1)
    missing |= {"is_inside": -1, "annotation_id": -1}
    return [{k: missing[k] if v is None else v for k, v in box.items()} for box in boxes]


@pytest.mark.parametrize(("mode", "upscale"), list(itertools.product(RESIZE_MODES, (False, True))))
def test_marks_are_found_under_every_annotation(build: typing.Callable[..., Built], mode: str, upscale: bool) -> None:
    """Enlarged are a few, in which every rotation and every orientation occurs."""
    cases = CASES[::7] if upscale else CASES
    rows, files = [], {}
    for photo_id, (source, rotation, exif) in enumerate(cases, 1):
        own = source == "open_images"
        as_stored = affine.inverse(affine.orientation(exif, 1, 1)) if own and rotation is None else None
        rows.append(annotated_row(photo_id, rotation, as_stored))
        files[photo_id] = (photo_file(exif, rotation if own else None), *FILES[source])
    built = build(rows, files, resize=mode, upscale=upscale, image_size=130 if upscale else 45)
    for (source, rotation, exif), (sample, pixels) in zip(cases, built.samples, strict=True):
        turned = source == "open_images" and rotation is not None
        assert sample["orientation"] == (EXIF_OF_ROTATION[rotation or 0] if turned else exif)
        _check_sample(sample, pixels)
        _check_transforms(sample, source)
        gone = ["boxes:3 outside", "keypoints:2 outside", "narratives:1 outside", "points:1 outside"]
        gone += ["segments:5 outside"]
        assert sample["warnings"] == make_row(sample["photo_id"])["warnings"] + (gone if mode == "crop" else [])
    assert built.log["geometry_dropped"].get("boxes outside", 0) == (3 * len(cases) if mode == "crop" else 0)


def _check_sample(sample: Row, pixels: Pixels) -> None:
    pixels = np.where(pixels.min(axis=2, keepdims=True) > 128, 0, pixels)  # The padding is white.
    found = {channel: pixels[:, :, channel] > 128 for channel in range(3)}
    visible = {str(channel) for channel, mark in found.items() if mark.any()}
    extents = {label: _extent(found[int(label)]) for label in visible}
    for source, copies in (("coco", 2), ("open_images", 1)):
        boxes = [b for b in sample["boxes"] if b["source"] == source]
        assert sorted(b["label_id"] for b in boxes) == sorted([*visible] * copies)
    for box in sample["boxes"]:
        assert [box[edge] for edge in EDGES] == pytest.approx(extents[box["label_id"]], abs=1)
        assert box["area"] == pytest.approx((box["xmax"] - box["xmin"]) * (box["ymax"] - box["ymin"]))
    assert len(sample["segments"]) == 5 * len(visible)
    for segment in sample["segments"]:
        _check_segment(segment, found[int(segment["label_id"])], extents[segment["label_id"]])
    centres = {label: _centre(pixels[:, :, int(label)]) for label in visible}
    for keypoints in sample["keypoints"]:
        assert keypoints["num_keypoints"] == len(visible)
        assert [i for i, v in enumerate(keypoints["visibility"]) if v] == sorted(map(int, visible))
        for label in visible:
            place = keypoints["x"][int(label)] + 0.5, keypoints["y"][int(label)] + 0.5
            assert place == pytest.approx(_expected_centre(sample, label, centres), abs=1)
    assert {p["label_id"] for p in sample["points"]} == visible
    for point in sample["points"]:
        assert (point["x"], point["y"]) == pytest.approx(_expected_centre(sample, point["label_id"], centres), abs=1)
    (trace,) = sample["narratives"][0]["traces"]
    assert trace["time_s"] == sorted(map(float, visible))
    assert list(zip(trace["x"], trace["y"], strict=True)) == [(p["x"], p["y"]) for p in sample["points"]]
    (pair,) = sample["relationships"]
    own = {b["label_id"]: b for b in sample["boxes"] if b["source"] == "open_images"}
    for part, label in (("1", "0"), ("2", "2")):
        assert [pair[edge + part] for edge in EDGES] == [own[label][edge] for edge in EDGES]
    units = [e["units"] for c in ("boxes", "segments", "keypoints", "points", "relationships") for e in sample[c]]
    assert set(units) == {"pixels"}


def _check_segment(segment: Row, found: npt.NDArray[np.bool_], extent: tuple[int, ...]) -> None:
    if segment["kind"] == "mask":
        assert [segment[edge] for edge in EDGES] == pytest.approx(extent, abs=1)
        (click,) = segment["clicks"]
        assert extent[0] - 1 <= click["x"] <= extent[2] + 1
        assert extent[1] - 1 <= click["y"] <= extent[3] + 1
        return
    height, width = found.shape
    if segment["polygons"]:
        rle = coco_mask.merge(coco_mask.frPyObjects(segment["polygons"], height, width))
    else:
        rle = {"size": [segment["rle_height"], segment["rle_width"]], "counts": segment["rle_counts"]}
        assert segment["area"] == coco_mask.area(typing.cast(typing.Any, rle))
    mask = decode_rle(rle)
    assert beyond_a_pixel(found, mask) == beyond_a_pixel(mask, found) == 0


def _extent(mark: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    rows, columns = np.nonzero(mark)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def _centre(weight: Pixels) -> tuple[float, float]:
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


def _expected_centre(sample: Row, label: str, centres: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """The centre of the mark as found; of one that is cut, from the affine of COCO's whole picture."""
    box = MARKS[int(label)]
    matrix = next(t["matrix"] for t in sample["transforms"] if (t["source"], t["image_id"]) == ("coco", "2"))
    to_written = affine.compose(affine.scale(SIZE, (90, 66)), tuple(matrix))
    left, top, right, bottom = mapped_box(to_written, box)
    if left >= 0 and top >= 0 and right <= sample["width"] and bottom <= sample["height"]:
        return centres[label]
    x, y = affine.apply(to_written, [CENTRES[int(label)]])[0]
    return float(x), float(y)


def _check_transforms(sample: Row, file: str) -> None:
    """The inverse of each takes the sample's geometry back to what its source published."""
    expected = [(file, FILES[file][1] or None, "pixels")]
    expected += [("coco", "1", "pixels"), ("coco", "2", "pixels"), ("open_images", OPEN_IMAGES_ID, "normalised")]
    if file == "coco" and sample["orientation"] == 1:
        del expected[1]
    assert [(t["source"], t["image_id"], t["units"]) for t in sample["transforms"]] == expected
    published = annotated_row(1, 0)["boxes"]
    for transform in sample["transforms"][1:]:
        if transform["source"] == "coco":
            same = [b for b in sample["boxes"] if b["image_id"] == transform["image_id"] and b["label_id"] == "0"]
            corners = np.reshape([same[0][edge] for edge in EDGES], (2, 2))
            back = np.sort(affine.to_source(transform["matrix"], corners), axis=0).ravel()
            of_source = next(b for b in published if b["image_id"] == transform["image_id"])
            assert back == pytest.approx([of_source[edge] for edge in EDGES])


@pytest.mark.parametrize(("mode", "upscale"), list(itertools.product(SCALING_MODES, (False, True))))
def test_marks_are_found_by_the_transforms_of_each_size(
    build: typing.Callable[..., Built], mode: str, upscale: bool
) -> None:
    """Of every copy to every size, and of the first size as if it were made alone."""
    cases = CASES[::7]
    rows, files = [], {}
    for photo_id, (source, rotation, exif) in enumerate(cases, 1):
        own = source == "open_images"
        rows.append(annotated_row(photo_id, rotation))
        files[photo_id] = (photo_file(exif, rotation if own else None), *FILES[source])
    alone = build(rows, files, resize=mode, upscale=upscale, image_size=45)
    built = build(rows, files, resize=mode, upscale=upscale, image_size=45, further_sizes=(66, 130))
    names = ("image_offset", "image_bytes", "transforms")
    assert built.table.select([n for n in alone.table.column_names if n not in names]).equals(
        alone.table.select([n for n in alone.table.column_names if n not in names])
    )
    assert all(map(np.array_equal, built.images["png"], alone.images["png"]))
    for place, (sample, _) in enumerate(built.samples):
        of_size = {n: [t for t in sample["transforms"] if t["size"] == n] for n in (45, 66, 130)}
        assert sample["transforms"] == [*of_size[45], *of_size[66], *of_size[130]]
        assert of_size[45] == alone.samples[place][0]["transforms"]
        for size, extension in ((45, "png"), (66, "66.png"), (130, "130.png")):
            entries = [{**t, "size": 45, "matrix": []} for t in of_size[size]]
            assert entries == [{**t, "matrix": []} for t in of_size[45]]
            _check_marks(of_size[size], built.images[extension][place])


def _check_marks(transforms: list[Row], pixels: Pixels) -> None:
    """Finds each mark where the affine of COCO's second copy takes it."""
    height, width, _ = pixels.shape
    pixels = np.where(pixels.min(axis=2, keepdims=True) > 128, 0, pixels)
    (matrix,) = (t["matrix"] for t in transforms if (t["source"], t["image_id"]) == ("coco", "2"))
    to_written = affine.compose(affine.scale(SIZE, (90, 66)), tuple(matrix))
    for channel, mark in enumerate(MARKS):
        found = pixels[:, :, channel] > 128
        box = np.clip(mapped_box(to_written, mark), 0, [width, height] * 2)
        if box[0] < box[2] - 1 and box[1] < box[3] - 1:
            assert _extent(found) == pytest.approx(box, abs=1)
        else:
            assert found.sum() <= max(height, width)


def test_photos_without_annotations_stand_beside_others(build: typing.Callable[..., Built]) -> None:
    rows = [make_row(1), annotated_row(2, 90), make_row(3), {**make_row(4), "sources": ["coco"]}]
    built = build(rows, {i: (photo_file(), "flickr", "") for i in (1, 2, 3, 4)})
    for row, (sample, _) in zip(rows, built.samples, strict=True):
        assert {n: row[n] for n in ("copies", "warnings", "title")} == {
            n: sample[n] for n in ("copies", "warnings", "title")
        }
        assert len(sample["boxes"]) == len(row["boxes"])
    assert [s["transforms"][0]["source"] for s, _ in built.samples] == ["yfcc", "yfcc", "yfcc", "flickr"]
    assert [len(s["transforms"]) for s, _ in built.samples] == [1, 4, 1, 1]
    assert [c.name for c in SAMPLE_COLUMNS] == built.table.column_names[:-2]


def test_order_of_arrival_and_pieces_move_no_value(
    build: typing.Callable[..., Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [annotated_row(i, 90) if i % 3 else make_row(i) for i in range(1, 12)]
    files = {i: (photo_file(), "flickr", "") for i in range(1, 12)}
    whole = build(rows, files, resize="crop")
    monkeypatch.setattr("transforms.shards.write_shard._ROWS_AT_A_TIME", 2)
    assert build(rows, files, resize="crop").table.equals(whole.table)

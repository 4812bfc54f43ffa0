"""`photobeam export`: what other people's readers find in an export is what the dataset has."""

import collections
import importlib
import io
import json
import os
import pathlib
import shutil
import types
import typing
import xml.etree.ElementTree as ET

import globox
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools.coco import COCO

from beam_jobs import export_annotations
from schemas.export_records import EXPORT_RECORD, ExportRecord
from schemas.photo_ids import key
from tests.boxed_dataset import HEIGHT, ODD_NAMES, PERSON_POINTS, WIDTH, make_boxed_dataset
from tests.factories import make_dataset
from transforms.export.export_shard import ExportShard
from transforms.export.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FAILED = 6_985_418_912
SPLITS = ("train", "val")
CLASSES = ["person", "dog", "Polar bear", 'a/b & "c" <d>', "l'été%0A世界", ".."]
FOLDERS = ["person", "dog", "Polar bear", "a%2Fb & %22c%22 %3Cd%3E", "l'été%0A世界", "%2E%2E"]

NUMBERS = {name: number for number, name in enumerate(("person", "dog", *ODD_NAMES.values()))}

Box = tuple[str, float, float, float, float]
Boxes = dict[str, list[Box]]
"""KEY to class and half-open edges of the boxes, sorted; images without any have an empty list."""

EDGES = ("xmin", "ymin", "xmax", "ymax")


def export(dataset: pathlib.Path, to: str, output: pathlib.Path, *flags: str) -> int:
    return export_annotations.main([str(dataset), "--to", to, "--output", str(output), "--workers", "1", *flags])


@pytest.fixture(scope="module")
def supervision() -> types.ModuleType:
    """Imported late: it takes two seconds."""
    return importlib.import_module("supervision")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_boxed_dataset(tmp_path_factory.mktemp("dataset"), {FAILED})


@pytest.fixture(scope="module")
def exported(dataset: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> typing.Callable[[str], pathlib.Path]:
    """Gives an export in a format, each made once."""
    root = tmp_path_factory.mktemp("exports")

    def of(to: str) -> pathlib.Path:
        if not (root / to).exists():
            assert export(dataset, to, root / to) == 0
        return root / to

    return of


@pytest.fixture(scope="module")
def samples(dataset: pathlib.Path) -> dict[str, dict[str, typing.Any]]:
    return {row["key"]: row for path in dataset.glob("shards/*.parquet") for row in pq.read_table(path).to_pylist()}


def expected(samples: dict[str, dict[str, typing.Any]], crowds: bool = False, rounded: bool = False) -> Boxes:
    """The boxes that a format has, without those that have no area in it."""
    boxes: Boxes = {name: [] for name in samples}
    for name, row in samples.items():
        for box in row["boxes"]:
            edges = [float(box[edge]) for edge in EDGES]
            edges = [float(round(edge)) for edge in edges] if rounded else edges
            label = CLASSES[NUMBERS[box["label"]]]
            if (crowds or box["is_crowd"] != 1) and edges[2] > edges[0] and edges[3] > edges[1]:
                boxes[name].append((label, *edges))
    return {name: sorted(own) for name, own in boxes.items()}


def close(found: Boxes, wanted: Boxes, within: float) -> bool:
    assert {name: [box[0] for box in own] for name, own in found.items()} == {
        name: [box[0] for box in own] for name, own in wanted.items()
    }
    return all(
        np.allclose([b[1:] for b in own], [b[1:] for b in wanted[name]], rtol=0, atol=within) if own else True
        for name, own in found.items()
    )


def of_supervision(parts: typing.Iterable[typing.Any]) -> Boxes:
    found: Boxes = {}
    for part in parts:
        for path, _, detections in part:
            pairs = zip(detections.class_id, detections.xyxy.tolist(), strict=True)
            found[pathlib.Path(path).stem] = sorted((part.classes[c], *edges) for c, edges in pairs)
    return found


def of_globox(parts: typing.Iterable[globox.AnnotationSet], names: typing.Sequence[str] = ()) -> Boxes:
    """With names, labels are numbers of classes."""
    found: Boxes = {}
    for part in parts:
        for one in part:
            edges = [(b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in one.boxes]
            named = [(names[int(label)] if names else label, *rest) for label, *rest in edges]
            found[pathlib.Path(one.image_id).stem] = sorted(named)
    return found


def tree(root: pathlib.Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of every file but the lease."""
    files = (path for path in root.rglob("*") if path.is_file() and "_tmp" not in path.parts)
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def contents(root: pathlib.Path) -> dict[str, bytes]:
    return {name: data for name, (data, _) in tree(root).items()}


def counts(root: pathlib.Path) -> dict[str, int]:
    return ExportRecord.from_json((root / EXPORT_RECORD).read_bytes(), EXPORT_RECORD).counts


def test_voc_of_supervision_is_the_dataset(exported, samples, supervision):
    root = exported("voc")
    read = supervision.DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    assert of_supervision([read]) == expected(samples, crowds=True, rounded=True)


def test_voc_of_globox_begins_a_pixel_further_in(exported, samples):
    read = globox.AnnotationSet.from_pascal_voc(exported("voc") / "Annotations")
    moved = expected(samples, crowds=True, rounded=True)
    moved = {name: [(c, x + 1, y + 1, *rest) for c, x, y, *rest in own] for name, own in moved.items()}
    assert of_globox([read]) == moved


def test_voc_is_inclusive_and_counts_from_one(exported, samples):
    """The box of the whole image is 1, 1, width, height."""
    for path in (exported("voc") / "Annotations").iterdir():
        root = ET.parse(path).getroot()
        assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["32", "24", "3"]
        people = [o for o in root.iter("object") if o.findtext("name") == "person" and o.findtext("difficult") == "0"]
        found = [[o.findtext(f"bndbox/{edge}") for edge in EDGES] for o in people]
        assert found == [["1", "1", str(WIDTH), str(HEIGHT)]] * len(people)
        crowds = [o for o in root.iter("object") if o.findtext("difficult") == "1"]
        assert len(crowds) == len(people) == (path.stem != key(7))
        assert all(o.findtext("occluded") == "1" for o in root.iter("object") if o.findtext("name") in CLASSES[2:])


def test_voc_names_every_image_in_its_set(exported, samples):
    sets = {path.stem: path.read_text().split() for path in (exported("voc") / "ImageSets/Main").iterdir()}
    assert sets.keys() == {*SPLITS}
    assert sorted(name for names in sets.values() for name in names) == sorted(samples)
    assert sets["val"] == [name for name in sets["val"] if int(name) % 2 and name != key(7)]


def test_yolo_of_supervision_and_globox_is_the_dataset(exported, samples, supervision):
    root, wanted = exported("yolo"), expected(samples)
    read = [
        supervision.DetectionDataset.from_yolo(
            str(root / "images" / split), str(root / "labels" / split), str(root / "data.yaml")
        )
        for split in SPLITS
    ]
    assert read[0].classes == CLASSES
    assert close(of_supervision(read), wanted, 1e-4)
    others = (
        globox.AnnotationSet.from_yolo_v5(root / "labels" / split, image_folder=root / "images" / split)
        for split in SPLITS
    )
    assert close(of_globox(others, CLASSES), wanted, 1e-4)


def test_keras_lines_are_the_dataset(exported, samples):
    root, found = exported("keras_yolo3"), {name: [] for name in samples}
    names = (root / "classes.txt").read_text().split("\n")[:-1]
    for split in SPLITS:
        for line in (root / f"{split}.txt").read_text().splitlines():
            path, *boxes = line.split()
            assert Image.open(root / path).size == (WIDTH, HEIGHT)
            numbers = [[int(value) for value in box.split(",")] for box in boxes]
            found[pathlib.Path(path).stem] = sorted((names[box[4]], *map(float, box[:4])) for box in numbers)
    assert names == CLASSES
    assert found == expected(samples, rounded=True)
    assert counts(root)["images_without_boxes"] == 1


def test_coco_of_pycocotools_is_the_dataset(exported, samples):
    found: Boxes = {}
    for split in SPLITS:
        coco = COCO(str(exported("coco") / f"annotations/instances_{split}.json"))
        for image_id, image in coco.imgs.items():
            assert (exported("coco") / split / image["file_name"]).is_file()
            own = coco.loadAnns(coco.getAnnIds(image_id))
            corners = [(a["bbox"], coco.cats[a["category_id"]]["name"]) for a in own]
            found[key(image_id)] = sorted((_one_line(name), x, y, x + w, y + h) for (x, y, w, h), name in corners)
            for annotation in (a for a in own if "source_id" not in a):
                assert np.argwhere(coco.annToMask(annotation)).tolist() == [[0, 0]], "the mask of Open Images"
            for annotation in (a for a in own if a["segmentation"] and "source_id" in a):
                assert [annotation["segmentation"]] == [
                    segment["polygons"]
                    for segment in samples[key(image_id)]["segments"]
                    if segment["annotation_id"] == annotation["source_id"]
                ]
                assert annotation["area"] == 60.5
                assert coco.annToMask(annotation).shape == (HEIGHT, WIDTH)
        assert {c["name"]: c["id"] for c in coco.cats.values()} == {
            **{"person": 1, "dog": 18},
            **{name: 1_001 + i for i, name in enumerate(ODD_NAMES.values())},
        }
        crowds = {coco.anns[i]["source_id"] % 10 for i in coco.getAnnIds(iscrowd=True) if "source_id" in coco.anns[i]}
        assert crowds == {2}
        groups = [a for a in coco.anns.values() if a["iscrowd"] and "source_id" not in a]
        assert all(a["image_id"] % 2 for a in groups)
        assert bool(groups) == (split == "val")
    assert close(found, expected(samples, crowds=True), 1e-4)


def _one_line(name: str) -> str:
    return name.replace("\n", "%0A")


def test_captions_and_keypoints_of_pycocotools_are_the_dataset(exported, samples):
    for split in SPLITS:
        captions = COCO(str(exported("coco") / f"annotations/captions_{split}.json"))
        points = COCO(str(exported("coco") / f"annotations/person_keypoints_{split}.json"))
        assert captions.imgs.keys() == points.imgs.keys()
        with_captions = {i for i in captions.imgs if samples[key(i)]["captions"]}
        assert {a["image_id"]: a["caption"] for a in captions.anns.values()} == {
            i: 'A "dog" & 犬.' for i in with_captions
        }
        assert {a["image_id"] for a in points.anns.values()} == with_captions
        (person,) = [a["category_id"] for a in points.anns.values()][:1]
        assert points.cats[person]["keypoints"] == PERSON_POINTS
        for annotation in points.anns.values():
            assert annotation["num_keypoints"] == 2
            assert annotation["keypoints"] == [2.0, 3.5, 2, 2.0, 3.5, 1] + [0] * 45


def test_coco_of_supervision_and_globox_is_the_dataset(exported, samples, supervision):
    root = exported("coco")
    wanted = expected(samples, crowds=True)
    files = {split: root / f"annotations/instances_{split}.json" for split in SPLITS}
    read = [supervision.DetectionDataset.from_coco(str(root / split), str(files[split])) for split in SPLITS]
    found = of_supervision(read)
    assert close({name: [(_one_line(c), *rest) for c, *rest in own] for name, own in found.items()}, wanted, 1e-4)
    others = of_globox(map(globox.AnnotationSet.from_coco, files.values()))
    assert close({name: [(_one_line(c), *rest) for c, *rest in own] for name, own in others.items()}, wanted, 1e-4)


def test_oidv4_has_a_folder_for_each_class(exported, samples):
    root, found = exported("oidv4") / "Dataset", collections.defaultdict(list)
    for split in ("train", "validation"):
        for folder in (root / split).iterdir():
            labels = {path.stem for path in (folder / "Labels").iterdir()}
            assert {path.stem for path in folder.glob("*.jpg")} == labels
            for path in (folder / "Labels").iterdir():
                for line in path.read_text().splitlines():
                    name, *edges = line.rsplit(" ", 4)
                    assert FOLDERS.index(folder.name) == CLASSES.index(name)
                    found[path.stem].append((name, *map(float, edges)))
    assert {name: sorted(own) for name, own in found.items()} == {
        name: own for name, own in expected(samples).items() if own
    }


def test_the_scripts_chain_from_oidv4_gives_the_same_boxes(exported, samples, tmp_path):
    """OIDv4 labels → VOC XML → lines for keras-yolo3, as oid_to_pascal_voc_xml.py and voc_to_YOLOv3.py compute it.

    The first takes `int(round(float(v)))` of all four edges and joins the words of a class by `_`; the second copies
    these numbers, one line for each class folder and image.
    """
    chained: Boxes = collections.defaultdict(list)
    for path in (exported("oidv4") / "Dataset").glob("*/*/Labels/*.txt"):
        for line in path.read_text().splitlines():
            words = line.split(" ")
            edges = [int(round(float(word))) for word in words[-4:]]  # noqa: RUF046
            if edges[2] > edges[0] and edges[3] > edges[1]:
                chained[path.stem].append(("_".join(words[:-4]), *edges))
    ours: Boxes = collections.defaultdict(list)
    root = exported("keras_yolo3")
    names = [name.replace(" ", "_") for name in (root / "classes.txt").read_text().split("\n")]
    for line in "".join((root / f"{split}.txt").read_text() for split in SPLITS).splitlines():
        path, *boxes = line.split()
        for *edges, number in ([int(value) for value in box.split(",")] for box in boxes):
            ours[pathlib.Path(path).stem].append((names[number], *edges))
    by_voc: Boxes = collections.defaultdict(list)
    for path in (exported("voc") / "Annotations").iterdir():
        for box in ET.parse(path).getroot().iter("object"):
            if box.findtext("difficult") == "0":
                xmin, ymin, xmax, ymax = (int(box.findtext(f"bndbox/{edge}")) for edge in EDGES)
                by_voc[path.stem].append((box.findtext("name").replace(" ", "_"), xmin - 1, ymin - 1, xmax, ymax))
    sorted_of = [{name: sorted(own) for name, own in boxes.items()} for boxes in (chained, ours, by_voc)]
    assert sorted_of[0] == sorted_of[1] == sorted_of[2]
    assert sum(map(len, ours.values())) == 27


def test_images_are_those_of_the_shards(exported, dataset, samples):
    for to, folder in (("voc", "JPEGImages"), ("yolo", "images"), ("files", "img"), ("coco", ""), ("oidv4", "Dataset")):
        found = {path.stem.zfill(12): path.read_bytes() for path in (exported(to) / folder).rglob("*.jpg")}
        assert found.keys() == {name for name, row in samples.items() if to != "oidv4" or row["boxes"]}
        for name, data in found.items():
            row = samples[name]
            (tar,) = [t for t in dataset.glob("shards/*.tar") if f"{name}.jpg".encode() in t.read_bytes()]
            assert data == tar.read_bytes()[row["image_offset"] :][: row["image_bytes"]]


def test_files_have_the_metadata_of_yfcc(exported, dataset, tmp_path):
    path = "meta/698/541/6985418913_meta.json"
    text = (exported("files") / path).read_text()
    decoded = json.loads(text)
    assert text == json.dumps(decoded, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    assert decoded.keys() == {"autotags", "EXIF", "places", "othermeta"}
    assert decoded["autotags"] == {"fog": "0.8610", "outdoor": "1.0000"}
    assert decoded["EXIF"] == {"Exif SubIFD.Focal Length": "50.0 mm"}
    assert decoded["places"] == {"23424803": "Ireland"}
    assert decoded["othermeta"]["user_tags"] == "dune,a%2Cb,ñ"
    assert decoded["othermeta"]["date_taken"] == "4501-01-01 09:56:37.0"
    assert (exported("files") / "meta/7/7_meta.json").is_file()
    assert export(dataset, "files", tmp_path / "raw", "--raw", "--images", "none") == 0
    raw = json.loads((tmp_path / "raw" / path).read_bytes())
    assert raw["EXIF"] == {"Exif+SubIFD.Focal+Length": "50.0+mm"}
    assert raw["othermeta"]["description"] == "Zeile+1%0AZeile+2%09%F0%9F%99%82"
    assert raw["othermeta"]["user_tags"] == "dune,a%2Cb,%C3%B1"
    assert not (tmp_path / "raw/img").exists()


def test_files_that_are_there_stay(dataset, tmp_path):
    there = tmp_path / "meta/698/541/6985418913_meta.json"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    assert export(dataset, "files", tmp_path) == 0
    assert there.read_text() == "mine"
    assert (there.parent / "6985418914_meta.json").is_file()


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_command_changes_nothing(exported, dataset, to, capsys):
    before = tree(exported(to))
    capsys.readouterr()
    assert export(dataset, to, exported(to)) == 0
    assert tree(exported(to)) == before
    assert capsys.readouterr().out == f"nothing to do: {exported(to)} is this export of this dataset\n"


def test_children_write_the_same_bytes(exported, dataset, tmp_path, capsys):
    arguments = [str(dataset), "--to", "coco", "--output", str(tmp_path / "coco"), "--workers", "2"]
    flags = ["--progress", "json", "--temp_location", str(tmp_path / "shared")]
    assert export_annotations.main([*arguments, *flags]) == 0
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["samples"] == 10
    assert contents(tmp_path / "coco") == contents(exported("coco"))


def test_an_export_goes_on_where_it_has_ended(exported, dataset, tmp_path, monkeypatch):
    real, done = ExportShard.__call__, []

    def dying(self: ExportShard, shard: int) -> int:
        done.append(shard)
        if len(done) == 2:
            raise OSError("no space left")
        return real(self, shard)

    monkeypatch.setattr(ExportShard, "__call__", dying)
    assert export(dataset, "keras_yolo3", tmp_path / "out") == 1
    assert not (tmp_path / "out" / EXPORT_RECORD).exists()
    assert export(dataset, "keras_yolo3", tmp_path / "out") == 0
    assert len(done) == 4
    assert contents(tmp_path / "out") == contents(exported("keras_yolo3"))


def test_a_dataset_that_changes_meanwhile_gives_no_export(dataset, tmp_path, monkeypatch, capsys):
    shutil.copytree(dataset, tmp_path / "changing")
    real, done = ExportShard.__call__, []

    def changing(self: ExportShard, shard: int) -> int:
        done.append(real(self, shard))
        if len(done) == 3:
            make_boxed_dataset(tmp_path / "changing")
        return done[-1]

    monkeypatch.setattr(ExportShard, "__call__", changing)
    assert export(tmp_path / "changing", "voc", tmp_path / "out", "--images", "none") == 1
    assert "was changed while it was exported" in capsys.readouterr().err
    assert export(tmp_path / "changing", "voc", tmp_path / "out", "--images", "none") == 2
    assert export(tmp_path / "changing", "voc", tmp_path / "out", "--images", "none", "--overwrite") == 0
    assert len([*(tmp_path / "out/Annotations").iterdir()]) == 11


def test_another_export_is_refused(exported, dataset, tmp_path, capsys):
    shutil.copytree(exported("voc"), tmp_path / "voc")
    assert export(dataset, "voc", tmp_path / "voc", "--split", "val") == 2
    told = capsys.readouterr().err
    assert "holds another export: --split is validation, export.json has not given; give --overwrite" in told
    for flags in ((), ("--overwrite",)):
        assert export(dataset, "yolo", tmp_path / "voc", *flags) == 2
        assert "holds an export to voc; choose another directory" in capsys.readouterr().err
    other = make_boxed_dataset(tmp_path / "other")
    assert export(other, "voc", tmp_path / "voc") == 2
    assert "of another dataset" in capsys.readouterr().err
    assert export(other, "voc", tmp_path / "voc", "--overwrite", "--classes", "dgo") == 2
    assert contents(tmp_path / "voc") == contents(exported("voc"))
    assert export(other, "voc", tmp_path / "voc", "--overwrite") == 0
    assert (tmp_path / "voc/Annotations" / f"{key(FAILED)}.xml").is_file()


def test_what_is_not_an_export_is_left_alone(dataset, tmp_path, capsys):
    (tmp_path / "photos.txt").write_text("mine")
    assert export(dataset, "voc", tmp_path, "--overwrite") == 2
    assert "holds something else (photos.txt)" in capsys.readouterr().err
    assert export(dataset, "voc", dataset / "voc") == 2
    assert "lie in one another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--raw"], "--raw has no effect on --to voc"),
        (["--split", "trian"], "did you mean train"),
        (["--classes", "dgo"], "did you mean dog"),
        (["--classes", " ,"], "--classes names none; give names or ids"),
        (["--images", "move"], "--images"),
    ],
)
def test_what_cannot_be_is_said(dataset, tmp_path, capsys, flags, message):
    assert export(dataset, "voc", tmp_path / "out", *flags) == 2
    assert message in capsys.readouterr().err
    assert export(dataset, "voc", tmp_path / "out", "--images", "none") == 0


def test_classes_and_split_choose_boxes_and_photos(dataset, samples, tmp_path):
    flags = ("--split", "val", "--classes", "DOG,/m/01", "--images", "none")
    assert export(dataset, "yolo", tmp_path / "out", *flags) == 0
    found = sorted(path.stem for path in (tmp_path / "out/labels").rglob("*.txt"))
    in_val = [name for name in sorted(samples) if name != key(7)]
    assert found == in_val, "Open Images has all of them in validation"
    assert not (tmp_path / "out/images").exists()
    text = "".join(path.read_text() for path in (tmp_path / "out/labels").rglob("*.txt"))
    assert {line.split()[0] for line in text.splitlines()} == {"0", "1"}
    assert "names:\n  0: dog\n  1: Polar bear\n" in (tmp_path / "out/data.yaml").read_text()
    assert counts(tmp_path / "out")["boxes_of_other_classes"] == 9 * 4 + sum(int(n) % 4 != 0 for n in in_val)


def test_linked_images_are_one_file(dataset, exported, tmp_path):
    assert export(dataset, "oidv4", tmp_path / "out", "--images", "link") == 0
    found = collections.defaultdict(set)
    for path in (tmp_path / "out/Dataset").rglob("*.jpg"):
        found[path.name].add(os.stat(path).st_ino)
    assert {len(numbers) for numbers in found.values()} == {1}
    ours = {name: data for name, data in contents(tmp_path / "out").items() if name != EXPORT_RECORD}
    assert ours == {name: data for name, data in contents(exported("oidv4")).items() if name != EXPORT_RECORD}
    assert [path.name for path in (tmp_path / "out/_tmp").iterdir()] == ["lease.json"]


def test_a_damaged_table_is_never_exported(dataset, tmp_path, capsys):
    shutil.copytree(dataset, tmp_path / "damaged")
    sidecar = min((tmp_path / "damaged/shards").glob("*.parquet"))
    sidecar.write_bytes(sidecar.read_bytes()[:-9] + b"\0" * 9)
    assert export(tmp_path / "damaged", "voc", tmp_path / "out") == 1
    assert f"shards/{sidecar.name}: its bytes have changed" in capsys.readouterr().err


def test_an_image_is_read_by_its_range(dataset, exported):
    (path,) = [p for p in (exported("voc") / "JPEGImages").iterdir() if p.stem == key(7)]
    assert Image.open(io.BytesIO(path.read_bytes())).size == (WIDTH, HEIGHT)


@pytest.mark.usefixtures("no_credentials")
def test_a_bucket_gives_and_takes_the_same(dataset, exported, s3, bucket, capsys):
    files = {f"out/{path.relative_to(dataset)}": path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    s3.put(bucket, files)
    keys = [f"--s3_endpoint_url={s3.url}", f"--s3_access_key_id={s3.key_id}", f"--s3_secret_access_key={s3.secret}"]
    source, output = f"s3://{bucket}/out", pathlib.Path("export")
    arguments = [source, "--to", "yolo", "--output", f"s3://{bucket}/{output}", "--workers", "1", *keys]
    assert export_annotations.main([*arguments, "--images", "link"]) == 2
    assert "which has no links" in capsys.readouterr().err
    assert export_annotations.main(arguments) == 0
    reads = [asked for asked in s3.asked if asked.method == "GET" and asked.path.endswith(".tar")]
    assert len(reads) == 10
    assert all(asked.range.startswith("bytes=") for asked in reads)
    names = [o["Key"] for o in s3.client.list_objects_v2(Bucket=bucket, Prefix="export/")["Contents"]]
    there = {
        name.removeprefix("export/"): s3.client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names
    }
    assert {name: data for name, data in there.items() if not name.startswith("_tmp/")} == contents(exported("yolo"))
    s3.asked.clear()
    assert export_annotations.main(arguments) == 0
    assert [asked.method for asked in s3.asked if asked.method not in ("GET", "HEAD")] == []


def test_a_dataset_without_boxes_or_photos_has_a_documented_result(tmp_path):
    without = make_dataset(tmp_path / "without")
    empty = make_dataset(tmp_path / "empty", photo_ids=[], shards=0)
    for to, images in (("voc", 13), ("yolo", 13), ("coco", 13), ("keras_yolo3", 0), ("oidv4", 0)):
        assert export(without, to, tmp_path / to, "--images", "none") == 0
        found = counts(tmp_path / to)
        assert (found.get("images", 0), found.get("images_without_boxes", 0)) == (images, 13 - images)
        assert (found["photos"], found["photos_without_image"]) == (13, 10)
    assert json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())["annotations"] == []
    assert export(empty, "keras_yolo3", tmp_path / "none") == 0
    assert contents(tmp_path / "none").keys() == {"classes.txt", EXPORT_RECORD}


def test_every_format_has_its_page_and_row():
    page = (pathlib.Path(__file__).parents[2] / "docs/exports.md").read_text("utf-8")
    for to in FORMATS:
        assert f"\n## `{to}`\n" in page
        assert to == "files" or f"\n| `{to}` |" in page

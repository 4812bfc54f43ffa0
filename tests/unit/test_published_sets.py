import pytest

from schemas.published_sets import PublishedFile, parse_published
from schemas.sources import Source

_TRAINVAL_2017 = "annotations/annotations_trainval2017.zip"


def _paths(source: Source, text: str) -> list[str]:
    named = parse_published(source, text)
    assert named is not None
    assert (named.source, named.name) == (source, text)
    return [file.path for file in named.files]


def test_a_split_of_coco_is_a_part_of_its_zip():
    named = parse_published(Source.COCO, "2017:val")
    assert named
    assert named.files == (PublishedFile(_TRAINVAL_2017, 252_907_541, "_val2017.json"),)


def test_a_year_of_coco_is_train_and_val():
    named = parse_published(Source.COCO, "2014")
    assert named
    assert [(f.path, f.member_suffix) for f in named.files] == [
        ("annotations/annotations_trainval2014.zip", "_train2014.json"),
        ("annotations/annotations_trainval2014.zip", "_val2014.json"),
    ]


def test_test_sets_and_parts_of_coco():
    assert _paths(Source.COCO, "2017:test") == ["annotations/image_info_test2017.zip"]
    assert _paths(Source.COCO, "2014:test") == ["annotations/image_info_test2014.zip"]
    assert _paths(Source.COCO, "2017:validation+stuff+panoptic") == [
        _TRAINVAL_2017,
        "annotations/stuff_annotations_trainval2017.zip",
        "annotations/panoptic_annotations_trainval2017.zip",
    ]


def test_versions_of_open_images():
    assert _paths(Source.OPEN_IMAGES, "v4:validation") == [
        "2018_04/class-descriptions-boxable.csv",
        "2018_04/bbox_labels_600_hierarchy.json",
        "2018_04/validation/validation-images-with-rotation.csv",
        "2018_04/validation/validation-annotations-bbox.csv",
        "2018_04/validation/validation-annotations-human-imagelabels-boxable.csv",
    ]
    assert _paths(Source.OPEN_IMAGES, "v5:train")[2:] == [
        "2018_04/train/train-images-boxable-with-rotation.csv",
        "2018_04/train/train-annotations-bbox.csv",
        "v5/train-annotations-human-imagelabels-boxable.csv",
    ]
    assert _paths(Source.OPEN_IMAGES, "V6:train+masks+relationships") == [
        "v5/class-descriptions-boxable.csv",
        "2018_04/bbox_labels_600_hierarchy.json",
        "2018_04/train/train-images-boxable-with-rotation.csv",
        "v6/oidv6-train-annotations-bbox.csv",
        "v5/train-annotations-human-imagelabels-boxable.csv",
        "v5/train-annotations-object-segmentation.csv",
        "v6/oidv6-train-annotations-vrd.csv",
    ]
    assert _paths(Source.OPEN_IMAGES, "v7:val+points") == [
        "v7/oidv7-class-descriptions-boxable.csv",
        "2018_04/bbox_labels_600_hierarchy.json",
        "2018_04/validation/validation-images-with-rotation.csv",
        "v5/validation-annotations-bbox.csv",
        "v5/validation-annotations-human-imagelabels-boxable.csv",
        "v7/oidv7-val-annotations-point-labels.csv",
    ]


def test_a_version_of_open_images_names_shared_files_once():
    paths = _paths(Source.OPEN_IMAGES, "v7")
    assert len(paths) == len(set(paths)) == 2 + 3 * 3


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source.COCO, "2017/val"),
        (Source.COCO, "instances_val2017.json"),
        (Source.COCO, "20170:val"),
        (Source.COCO, "s3://b/2017"),
        (Source.OPEN_IMAGES, "v7.csv"),
        (Source.OPEN_IMAGES, "2017"),
        (Source.YFCC, "2017"),
        (Source.FLICKR8K, "2017:val"),
    ],
)
def test_paths_are_no_names(source: Source, text: str):
    assert parse_published(source, text) is None


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        (Source.COCO, "2015:val", r"no published set '2015'; there is 2014, 2017\. .*\./2015:val"),
        (Source.COCO, "2017:valid", "no published split 'valid'; there is train, val, validation, test"),
        (Source.COCO, "2017:", "no published split ''"),
        (Source.COCO, "2014:val+stuff", "no published part 'stuff'; this one has no parts"),
        (Source.COCO, "2017:val+masks", "no published part 'masks'; there is stuff, panoptic"),
        (Source.OPEN_IMAGES, "v3", "no published set 'v3'; there is v4, v5, v6, v7"),
        (Source.OPEN_IMAGES, "v4:test+masks", "no published part 'masks'; there is boxes, labels, machine"),
        (Source.OPEN_IMAGES, "v7:test+", "no published part ''; there is"),
    ],
)
def test_names_that_lead_nowhere_say_what_there_is(source: Source, text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_published(source, text)

"""YOLO (Ultralytics): one text file for each image, and `data.yaml`.

    images/{train,val,test}/KEY.jpg   labels/{train,val,test}/KEY.txt   data.yaml

A line is ``class cx cy w h``: the number of the class from 0, centre and size of the box as parts of the image's width
and height, with 6 decimals. So an edge moves by less than 1e-6 of the image. An image without boxes has an empty file:
a background image. COCO's crowds are left out, as Ultralytics does; Open Images' groups are boxes as any other.
"""

import typing

import yaml

from transforms.export.classes import ExportClasses
from transforms.export.edges import centre_and_size
from transforms.export.export_format import SHORT_SPLITS, ExportFormat, File, Sections, name_in_split
from transforms.export.images import ExportedImage
from transforms.export.names import one_line


def label_text(image: ExportedImage) -> str:
    """Returns the lines of an image; of one without a size its boxes are normalised already."""
    places = ((box.class_number, *centre_and_size(box.edges, image.size or (1, 1))) for box in image.boxes)
    return "".join("{} {:.6f} {:.6f} {:.6f} {:.6f}\n".format(*place) for place in places)


def _files(image: ExportedImage, classes: ExportClasses) -> typing.Iterator[File]:
    yield f"labels/{SHORT_SPLITS[image.split]}/{image.name}.txt", label_text(image).encode()


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [f"images/{SHORT_SPLITS[image.split]}/{image.file}"]


def _data_yaml(sections: Sections, classes: ExportClasses) -> typing.Iterator[tuple[str, typing.Iterable[str]]]:
    splits = {split: f"images/{split}" for split in SHORT_SPLITS.values() if split in sections}
    names = {number: one_line(name) for number, name in enumerate(classes.names)}
    content = {**splits, "nc": len(names), "names": names}
    yield "data.yaml", [yaml.safe_dump(content, sort_keys=False, allow_unicode=True)]


YOLO = ExportFormat(
    roots=frozenset({"images", "labels", "data.yaml"}),
    columns=("boxes",),
    files=_files,
    places=_places,
    lines=name_in_split,
    shared_files=_data_yaml,
    needs_size=False,
    takes_normalised=True,
)

"""Pascal VOC: one XML file for each image.

    JPEGImages/KEY.jpg   Annotations/KEY.xml   ImageSets/Main/{train,val,test}.txt

Edges are whole pixels, 1-based and inclusive, as the development kit of VOC has them (MATLAB counts from 1): the box of
the one pixel at the upper left is 1, 1, 1, 1. From half-open edges xmin and ymin are rounded and one is added; xmax and
ymax are rounded. Readers disagree: supervision takes 1 from xmin and ymin, which gives the half-open box back; globox
and torchvision take the numbers as they are, so that left and upper edges lie a pixel further in.

``difficult`` is 1 of COCO's crowds, which most readers leave out; ``truncated`` and ``occluded`` are Open Images'.
An image without boxes has a file without objects.
"""

import typing
import xml.etree.ElementTree as ET

from transforms.export.classes import ExportClasses
from transforms.export.edges import whole_pixels
from transforms.export.export_format import ExportFormat, File, Sections, name_in_split
from transforms.export.images import Box, ExportedImage
from transforms.export.names import one_line


def annotation(image: ExportedImage, classes: ExportClasses) -> bytes:
    """Returns the XML of an image with a size: UTF-8, indented by tabs."""
    root = ET.Element("annotation")
    width, height = typing.cast(tuple[int, int], image.size)
    _add(root, {"folder": "JPEGImages", "filename": image.file})
    _add(ET.SubElement(root, "source"), {"database": "photobeam", "image": "flickr", "flickrid": image.photo_id})
    _add(ET.SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    _add(root, {"segmented": 0})
    for box in image.boxes:
        element = ET.SubElement(root, "object")
        _add(element, {"name": one_line(classes.names[box.class_number]), "pose": "Unspecified", **_flags(box)})
        _add(ET.SubElement(element, "bndbox"), _edges(box))
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode").encode() + b"\n"


def _edges(box: Box) -> dict[str, int]:
    xmin, ymin, xmax, ymax = whole_pixels(box.edges)
    return {"xmin": xmin + 1, "ymin": ymin + 1, "xmax": xmax, "ymax": ymax}


def _flags(box: Box) -> dict[str, int]:
    flags = {name: int(box.element[f"is_{name}"] == 1) for name in ("truncated", "occluded")}
    return {**flags, "difficult": int(box.is_crowd)}


def _add(parent: ET.Element, values: typing.Mapping[str, object]) -> None:
    for name, value in values.items():
        ET.SubElement(parent, name).text = str(value)


def _files(image: ExportedImage, classes: ExportClasses) -> typing.Iterator[File]:
    yield f"Annotations/{image.name}.xml", annotation(image, classes)


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [f"JPEGImages/{image.file}"]


def _image_sets(sections: Sections, classes: ExportClasses) -> typing.Iterator[tuple[str, typing.Iterable[str]]]:
    for split, lines in sections.items():
        yield f"ImageSets/Main/{split}.txt", (f"{line}\n" for line in lines())


VOC = ExportFormat(
    roots=frozenset({"Annotations", "JPEGImages", "ImageSets"}),
    columns=("boxes",),
    files=_files,
    places=_places,
    lines=name_in_split,
    shared_files=_image_sets,
    takes_crowds=True,
    whole_pixels=True,
)

"""The folders of the OIDv4 ToolKit: one for each class.

    Dataset/{train,validation,test}/CLASS/ID.jpg   Dataset/{train,validation,test}/CLASS/Labels/ID.txt

ID is the Open Images id where there is one, else KEY. A photo with several classes is in the folder of each. A line of
a label file is ``class xmin ymin xmax ymax``: the name of the class, which may hold spaces, then pixels as decimals,
0-based and half-open, as the ToolKit has them. Its README calls the folder of labels `Labels`, as here, while its code
writes `Label`: rename the folders for scripts that look for that. Names of classes are names of folders, see
:func:`transforms.export.names.file_name`. Photos without boxes are in no folder; COCO's crowds are left out.
"""

import typing

from transforms.export.classes import ExportClasses
from transforms.export.export_format import ExportFormat, File, no_lines, no_shared_files
from transforms.export.images import ExportedImage
from transforms.export.names import file_name, one_line


def label_text(image: ExportedImage, class_number: int, classes: ExportClasses) -> str:
    """Returns the lines of an image in the folder of a class."""
    name = one_line(classes.names[class_number])
    places = (box.edges for box in image.boxes if box.class_number == class_number)
    return "".join(f"{name} {' '.join(repr(float(edge)) for edge in edges)}\n" for edges in places)


def _folders(image: ExportedImage, classes: ExportClasses) -> dict[int, str]:
    numbers = sorted({box.class_number for box in image.boxes})
    return {number: f"Dataset/{image.split}/{file_name(classes.names[number])}" for number in numbers}


def _own_id(image: ExportedImage) -> str:
    is_photo = image.image_id == image.photo_id
    return (is_photo and image.row["open_images_id"]) or image.name


def _files(image: ExportedImage, classes: ExportClasses) -> typing.Iterator[File]:
    for number, folder in _folders(image, classes).items():
        yield f"{folder}/Labels/{_own_id(image)}.txt", label_text(image, number, classes).encode()


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [f"{folder}/{_own_id(image)}{image.extension}" for folder in _folders(image, classes).values()]


OIDV4 = ExportFormat(
    roots=frozenset({"Dataset"}),
    columns=("boxes", "open_images_id"),
    files=_files,
    places=_places,
    lines=no_lines,
    shared_files=no_shared_files,
    needs_boxes=True,
)

"""keras-yolo3 (qqwweee): one line for each image, and the list of classes.

    images/{train,val,test}/KEY.jpg   train.txt   val.txt   test.txt   classes.txt

A line is ``path xmin,ymin,xmax,ymax,class xmin,…``: the path from the root of the export, where training is to be run;
edges in whole pixels, 0-based and half-open, each rounded to the nearest (halves to the even one), as the scripts make
them that turn the OIDv4 ToolKit's labels into VOC files and these into such lines; and the number of the class from 0,
its line in `classes.txt`. Images without boxes have no line. COCO's crowds are left out, as the project's own converter
leaves out what is difficult. White space in paths is percent-encoded, since it ends a path.
"""

import typing

from transforms.export.classes import ExportClasses
from transforms.export.edges import whole_pixels
from transforms.export.export_format import SHORT_SPLITS, ExportFormat, Line, Sections, no_files
from transforms.export.images import ExportedImage
from transforms.export.names import one_line, one_word


def box_line(image: ExportedImage) -> str:
    """Returns the line of an image."""
    boxes = (",".join(map(str, (*whole_pixels(box.edges), box.class_number))) for box in image.boxes)
    return " ".join((_place(image), *boxes))


def _place(image: ExportedImage) -> str:
    return f"images/{SHORT_SPLITS[image.split]}/{one_word(image.file)}"


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [_place(image)]


def _lines(image: ExportedImage, classes: ExportClasses) -> typing.Iterator[Line]:
    yield SHORT_SPLITS[image.split], box_line(image)


def _lists(sections: Sections, classes: ExportClasses) -> typing.Iterator[tuple[str, typing.Iterable[str]]]:
    yield "classes.txt", (f"{one_line(name)}\n" for name in classes.names)
    for split, lines in sections.items():
        yield f"{split}.txt", (f"{line}\n" for line in lines())


KERAS_YOLO3 = ExportFormat(
    roots=frozenset({"images", "classes.txt", *(f"{split}.txt" for split in SHORT_SPLITS.values())}),
    columns=("boxes",),
    files=no_files,
    places=_places,
    lines=_lines,
    shared_files=_lists,
    needs_boxes=True,
    whole_pixels=True,
)

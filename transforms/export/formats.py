"""The export formats by name."""

import typing

from transforms.export.coco import COCO
from transforms.export.export_format import ExportFormat
from transforms.export.keras_yolo3 import KERAS_YOLO3
from transforms.export.oidv4 import OIDV4
from transforms.export.photo_files import photo_files
from transforms.export.voc import VOC
from transforms.export.yolo import YOLO

FILES = "files"
"""The one format whose values may be raw."""

FORMATS: typing.Final[dict[str, ExportFormat]] = {
    "voc": VOC,
    "yolo": YOLO,
    "keras_yolo3": KERAS_YOLO3,
    "coco": COCO,
    "oidv4": OIDV4,
    FILES: photo_files(raw=False),
}


def export_format(name: str, raw: bool) -> ExportFormat:
    """Returns a format by its name; ``raw`` counts for :data:`FILES` alone."""
    return photo_files(raw) if name == FILES else FORMATS[name]

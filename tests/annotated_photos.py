"""Photos with coloured marks, of which three sources have copies of other sizes and turns, annotated by each."""

import io
import typing

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.annotations import ELEMENTS, NORMALISED, PIXELS
from tests.factories import make_row
from transforms.geometry import affine
from transforms.geometry.map_masks import encode_rle
from transforms.images.image_plan import TURNED_BACK

Element = dict[str, typing.Any]

SIZE = (120, 88)
MARKS = ((48, 36, 72, 60), (4, 28, 12, 52), (76, 0, 120, 20))
"""On the upright photo, one for each channel; a crop of the middle misses the second and cuts the third."""

CENTRES = tuple(((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in MARKS)
OPEN_IMAGES_ID = "000a1249af2bc5f0"
COCO_SIZES = {"1": SIZE, "2": (90, 66)}
"""Image id to size: one photo is in COCO twice."""

TURNED_CLOCKWISE = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def element(column: str, **values: typing.Any) -> Element:
    """An element of a list column: nothing in it, but for the values given."""
    return {**{f.name: None for f in ELEMENTS[column]}, "source": "coco", "image_id": "1", "units": PIXELS, **values}


def copy(source: str, image_id: str, size: tuple[int, int] | None = None, rotation: int | None = None) -> Element:
    """An element of ``copies``."""
    blank = dict.fromkeys((f.name for f in ELEMENTS["copies"]), None)
    width, height = size or (None, None)
    return {**blank, "source": source, "image_id": image_id, "width": width, "height": height, "rotation": rotation}


def photo_file(exif: int = 1, stored_turn: int | None = None) -> bytes:
    """The photo as PNG.

    Args:
        exif: orientation that its header says.
        stored_turn: degrees counter-clockwise by which the pixels are to be turned, whatever the header says; else
            the header is right.
    """
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for channel, (left, top, right, bottom) in enumerate(MARKS):
        pixels[top:bottom, left:right, channel] = 255
    image = Image.fromarray(pixels)
    if stored_turn:
        image = image.transpose(TURNED_CLOCKWISE[stored_turn])
    elif stored_turn is None and exif > 1:
        image = image.transpose(TURNED_BACK[exif])
    header = Image.Exif()
    header[0x0112] = exif
    sink = io.BytesIO()
    image.save(sink, "PNG", exif=header)
    return sink.getvalue()


def annotated_row(photo_id: int, rotation: int | None, to_stored: affine.Affine | None = None) -> dict[str, typing.Any]:
    """A row with the marks as every source would annotate them.

    Args:
        photo_id: of the row.
        rotation: of Open Images' copy.
        to_stored: how the upright photo, both of its sides 1, becomes Open Images' copy as stored; by default, its
            rotation undone.
    """
    to_stored = to_stored or affine.inverse(affine.quarter_turn(rotation or 0, 1, 1))
    coco = [_coco(image_id) for image_id in COCO_SIZES]
    own = _open_images(affine.compose(affine.scale(SIZE, (1, 1)), to_stored))
    columns = {name: [e for part in (*coco, own) for e in part.get(name, ())] for name in own | coco[0]}
    copies = [copy("coco", image_id, size) for image_id, size in COCO_SIZES.items()]
    copies.append(copy("open_images", OPEN_IMAGES_ID, rotation=rotation))
    return {**make_row(photo_id), "sources": ["coco", "open_images", "yfcc"], "copies": copies, **columns}


def _coco(image_id: str) -> dict[str, list[Element]]:
    width, height = COCO_SIZES[image_id]
    factor = width / SIZE[0]
    boxes, outlines, masks = [], [], []
    for i, mark in enumerate(MARKS):
        left, top, right, bottom = (edge * factor for edge in mark)
        own = {"image_id": image_id, "annotation_id": i, "label_id": str(i)}
        boxes.append(element("boxes", **own, xmin=left, ymin=top, xmax=right, ymax=bottom, area=1.0))
        polygon = [left, top, right, top, right, bottom, left, bottom]
        outlines.append(element("segments", **own, kind="instance", polygons=[polygon], area=1.0))
        mask = np.zeros((height, width), np.bool_)
        mask[round(top) : round(bottom), round(left) : round(right)] = True
        own |= {"kind": "stuff", "annotation_id": 100 + i, "polygons": []}
        counts = encode_rle(mask)["counts"]
        masks.append(element("segments", **own, rle_counts=counts, rle_height=height, rle_width=width, area=1.0))
    points: dict[str, typing.Any] = {
        "x": [x * factor - 0.5 for x, _ in CENTRES],
        "y": [y * factor - 0.5 for _, y in CENTRES],
    }
    keypoints = element("keypoints", image_id=image_id, annotation_id=0, **points, visibility=[2, 1, 2])
    return {"boxes": boxes, "segments": outlines + masks, "keypoints": [keypoints]}


def _open_images(to_copy: affine.Affine) -> dict[str, list[Element]]:
    edges = [mapped_box(to_copy, mark) for mark in MARKS]
    centres = affine.apply(to_copy, CENTRES).tolist()
    own = {"source": "open_images", "image_id": OPEN_IMAGES_ID, "units": NORMALISED}
    names = ("xmin", "ymin", "xmax", "ymax")
    boxes = [dict(zip(names, e, strict=True)) for e in edges]
    pair = {f"{n}{part}": boxes[i][n] for part, i in ((1, 0), (2, 2)) for n in names}
    x, y = (list(values) for values in zip(*centres, strict=True))
    return {
        "boxes": [element("boxes", **own, label_id=str(i), **box) for i, box in enumerate(boxes)],
        "segments": [
            element(
                "segments",
                **own,
                kind="mask",
                label_id=str(i),
                polygons=[],
                mask_file=f"{i}.png",
                **box,
                clicks=[{"x": centres[i][0], "y": centres[i][1], "is_inside": 1}],
            )
            for i, box in enumerate(boxes)
        ],
        "relationships": [element("relationships", **own, relationship="on", **pair)],
        "points": [element("points", **own, label_id=str(i), x=cx, y=cy) for i, (cx, cy) in enumerate(centres)],
        "narratives": [
            element("narratives", **own, text="Marks.", utterances=[], traces=[{"x": x, "y": y, "time_s": [0.0, 1, 2]}])
        ],
    }


def mapped_box(matrix: affine.Affine, box: typing.Sequence[float]) -> list[float]:
    """The corners of a box, moved and in order again."""
    corners: npt.NDArray[np.float64] = np.sort(affine.apply(matrix, np.reshape(box, (2, 2))), axis=0)
    return [float(c) for c in corners.ravel()]

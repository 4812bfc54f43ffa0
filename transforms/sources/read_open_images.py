"""Reads the files of Open Images into record batches by photo.

With lists of images, these tell which images there are, and their photos; annotations of others are
failures. Without, every image that an annotation names is one, its photo a surrogate.
"""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import ELEMENTS
from schemas.failures import FailureReason
from schemas.open_images import OpenImagesKind, read_hex_ids, split_of, surrogate_ids
from schemas.open_images_copies import listed_copies, named_copies, photo_ids_of
from schemas.open_images_narratives import BadNarrativeError, OtherDatasetError, read_narrative
from schemas.open_images_tables import COLUMN_OF, ClassNames, find_faults, table_elements
from transforms.sources.annotation_parts import BATCH_ROWS, OPEN_IMAGES_IMAGE, AnnotationPart, part_batch, read_failure
from transforms.sources.find_open_images import OpenImagesFile
from transforms.sources.line_ranges import open_reader
from transforms.sources.open_images_ids import OpenImagesIds
from transforms.sources.parse_table import parse_table
from transforms.sources.text_records import Form, OpenFile, Records, read_quoted_records, read_records

_MAX_NARRATIVE_BYTES = 8 << 20
_BATCH_NARRATIVES = 64
_BOM = b"\xef\xbb\xbf"

_Fault = tuple[FailureReason, str]
_Photos = npt.NDArray[np.int64]
_UNLISTED = "the image is in none of the lists of images"
_NOT_HEX = "the image id is not 16 hexadecimal digits"


class _Job(typing.NamedTuple):
    """What every part of a file is read with."""

    file: OpenImagesFile
    ids: OpenImagesIds | None
    class_names: ClassNames
    split: str | None


def read_open_images(
    file: OpenImagesFile,
    start: int,
    stop: int,
    ids: OpenImagesIds | None,
    class_names: ClassNames,
    split: str | None = None,
) -> typing.Iterator[AnnotationPart]:
    """Reads the lines that a range of a file owns.

    Any partition of a file into ranges gives every line once. A list of images is read whole by the
    range at 0, since its titles may hold line ends; the others give nothing.

    Args:
        file: of images or annotations.
        start: first byte of the range.
        stop: end of the range.
        ids: the images of all lists given; None if none is given. Then annotations also give the
            ``copies`` of the images they name.
        class_names: display names by class id.
        split: of the images of a file whose name states none.

    Raises:
        ValueError: the file holds classes.
        OSError: the file cannot be read.
        CorruptInputError: it became shorter meanwhile.
    """
    if file.kind in (OpenImagesKind.CLASS_NAMES, OpenImagesKind.HIERARCHY):
        raise ValueError(f"{file.url} holds {file.kind.value}, which belong to no photo")
    read = {OpenImagesKind.IMAGES: _read_images, OpenImagesKind.NARRATIVES: _read_narratives}.get(
        file.kind, _read_table
    )
    job = _Job(file, ids, class_names, split_of(file.url) or split)
    with open_reader(file.url) as (read_at, size):
        for records in _records(file, OpenFile(read_at, size, file.url), start, stop):
            yield read(job, records)


def _records(file: OpenImagesFile, opened: OpenFile, start: int, stop: int) -> typing.Iterator[Records]:
    if file.kind is OpenImagesKind.NARRATIVES:
        return read_records(
            opened,
            start,
            stop,
            has_header=False,
            max_records=_BATCH_NARRATIVES,
            max_line_bytes=_MAX_NARRATIVE_BYTES,
        )
    if file.kind is not OpenImagesKind.IMAGES:
        return read_records(opened, start, stop, has_header=True, max_records=BATCH_ROWS)
    form = Form(file.layout.delimiter, len(file.layout.columns))
    return read_quoted_records(opened, form, max_records=BATCH_ROWS) if start == 0 else iter(())


def _read_table(job: _Job, records: Records) -> AnnotationPart:
    rows, places, unsplit = parse_table(records, job.file.layout)
    photos, faults = _photos(job, rows.texts("ImageID"))
    faults |= {row: (FailureReason.MALFORMED_ROW, why) for row, why in find_faults(job.file.kind, rows).items()}
    kept = np.ones(rows.length, np.bool_)
    kept[list(faults)] = False
    rows, photos = rows.keep(kept), photos[kept]
    rows = rows.with_column("ImageID", pc.utf8_lower(rows.texts("ImageID")))
    column = COLUMN_OF[job.file.kind]
    batches = {column: part_batch(column, photos, table_elements(job.file.kind, rows, job.class_names))}
    if job.ids is None:
        batches |= _named_images(rows.texts("ImageID"), photos, job.split)
    malformed = {int(places[row]): fault for row, fault in faults.items()} | _malformed(unsplit)
    return AnnotationPart(batches, _failures(job, records, malformed), rows.length + len(malformed))


def _read_images(job: _Job, records: Records) -> AnnotationPart:
    rows, places, unsplit = parse_table(records, job.file.layout)
    image_ids, readable = read_hex_ids(rows.texts("ImageID"))
    malformed = _malformed({int(place): _NOT_HEX for place in places[~readable]} | unsplit)
    rows, image_ids, places = rows.keep(readable), image_ids[readable], places[readable]
    photos = photo_ids_of(rows)
    known = photos if job.ids is None else job.ids.photos_of(image_ids)
    malformed |= {int(places[i]): _clash(int(known[i])) for i in np.flatnonzero(known != photos).tolist()}
    rows, photos = rows.keep(known == photos), photos[known == photos]
    rows = rows.with_column("ImageID", pc.utf8_lower(rows.texts("ImageID")))
    copies, unreadable = listed_copies(rows, job.split)
    batches = _image_batches(copies, photos)
    if warnings := [(photos[bad], f"copies.{field}") for field, bad in unreadable.items() if bad.any()]:
        names = pa.array([name for warned, name in warnings for _ in warned], pa.string())
        batches["warnings"] = part_batch("warnings", np.concatenate([warned for warned, _ in warnings]), names)
    return AnnotationPart(batches, _failures(job, records, malformed), rows.length + len(malformed))


def _clash(known: int) -> _Fault:
    """Why an image is kept out that is, among all lists, of another photo or none."""
    if known < 0:
        return FailureReason.UNKNOWN_IMAGE, _UNLISTED
    return FailureReason.MALFORMED_ROW, f"the image id is of photo {known} as well"


def _read_narratives(job: _Job, records: Records) -> AnnotationPart:
    elements: list[dict[str, typing.Any]] = []
    places: list[int] = []
    faults: dict[int, _Fault] = {}
    for place in range(len(records)):
        read = _narrative(records, place)
        if isinstance(read, dict):
            elements.append(read)
            places.append(place)
        elif read:
            faults[place] = read
    photos, unknown = _photos(job, pa.array([element["image_id"] for element in elements], pa.string()))
    faults |= {places[row]: fault for row, fault in unknown.items()}
    kept = [row for row in range(len(elements)) if row not in unknown]
    found = pa.array([elements[row] for row in kept], ELEMENTS["narratives"])
    batches = {"narratives": part_batch("narratives", photos[kept], found)}
    if job.ids is None:
        batches |= _named_images(found.field("image_id"), photos[kept], job.split)
    return AnnotationPart(batches, _failures(job, records, faults), len(kept) + len(faults))


def _narrative(records: Records, place: int) -> dict[str, typing.Any] | _Fault | None:
    """Reads a line: an element, why it is none, or None of an empty line."""
    raw = records.raw(place)
    if records.offsets[place] == 0:
        raw = raw.removeprefix(_BOM)
    if not raw.strip():
        return None
    if place in records.too_long:
        return FailureReason.MALFORMED_ROW, f"the line is longer than {_MAX_NARRATIVE_BYTES} bytes"
    try:
        element = read_narrative(raw)
    except BadNarrativeError as error:
        return FailureReason.MALFORMED_ROW, str(error)
    except OtherDatasetError as error:
        return FailureReason.UNKNOWN_IMAGE, str(error)
    return {**element, "image_id": element["image_id"].lower()}


def _photos(job: _Job, texts: pa.StringArray) -> tuple[_Photos, dict[int, _Fault]]:
    """Returns the photos of images, and which rows have none."""
    encoded = texts.dictionary_encode()
    image_ids, readable = read_hex_ids(encoded.dictionary)
    photos = np.full(len(image_ids), -1, np.int64)
    photos[readable] = surrogate_ids(image_ids[readable]) if job.ids is None else job.ids.photos_of(image_ids[readable])
    rows = encoded.indices.to_numpy()
    unknown = (FailureReason.UNKNOWN_IMAGE, _UNLISTED)
    not_hex = (FailureReason.MALFORMED_ROW, _NOT_HEX)
    lacking = np.flatnonzero(photos[rows] < 0).tolist()
    return photos[rows], {row: unknown if readable[rows[row]] else not_hex for row in lacking}


def _named_images(texts: pa.StringArray, photos: _Photos, split: str | None) -> dict[str, pa.RecordBatch]:
    """Describes the images that rows name, each once."""
    encoded = texts.dictionary_encode()
    of_image = np.zeros(len(encoded.dictionary), np.int64)
    of_image[encoded.indices.to_numpy()] = photos
    return _image_batches(named_copies(encoded.dictionary, split), of_image)


def _image_batches(copies: pa.StructArray, photos: _Photos) -> dict[str, pa.RecordBatch]:
    scalars = [copies.field("image_id"), copies.field("split")]
    images = pa.StructArray.from_arrays(scalars, fields=list(OPEN_IMAGES_IMAGE))
    return {
        "copies": part_batch("copies", photos, copies),
        "open_images_image": part_batch("open_images_image", photos, images),
    }


def _malformed(faults: dict[int, str]) -> dict[int, _Fault]:
    return {place: (FailureReason.MALFORMED_ROW, why) for place, why in faults.items()}


def _failures(job: _Job, records: Records, faults: dict[int, _Fault]) -> list[dict[str, typing.Any]]:
    return [
        read_failure(reason, why, job.file.url, int(records.offsets[place]), records.raw(place))
        for place, (reason, why) in sorted(faults.items())
    ]

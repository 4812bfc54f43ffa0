"""Localized narratives: one JSON object a line, of several datasets; those of Open Images are read."""

import json
import math
import typing

from schemas.annotations import NORMALISED
from schemas.json_values import Json, is_integer, is_number, is_text
from schemas.open_images import SOURCE

DATASET = "open_images"
"""In the ``dataset_id`` of all narratives of Open Images, such as ``mscoco_val2017`` of COCO's."""


class BadNarrativeError(ValueError):
    """A line is no narrative; the message says why."""


class OtherDatasetError(ValueError):
    """A narrative is of an image of another dataset; the message says of which."""


def read_narrative(line: bytes) -> dict[str, Json]:
    """Reads a line into an element of ``narratives``; whether its image id is one is left to the caller.

    Raises:
        BadNarrativeError: the line is no narrative.
        OtherDatasetError: it is one of another dataset.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadNarrativeError("the line is not JSON") from error
    if not isinstance(entry, dict):
        raise BadNarrativeError("the line is not a JSON object")
    dataset = _text(entry, "dataset_id")
    if DATASET not in dataset.lower():
        raise OtherDatasetError(f"a narrative of {dataset[:80]!r}, whose images are none of Open Images'")
    return {
        "source": SOURCE,
        "image_id": _text(entry, "image_id"),
        "annotator_id": _integer(entry, "annotator_id"),
        "units": NORMALISED,
        "text": _text(entry, "caption").strip(),
        "utterances": [_utterance(item) for item in _objects(entry, "timed_caption")],
        "traces": [_trace(points) for points in _lists(entry, "traces")],
        "voice_recording": _text(entry, "voice_recording") if entry.get("voice_recording") else None,
    }


def _utterance(item: Json) -> dict[str, Json]:
    return {
        "text": _text(item, "utterance"),
        "start_s": _number(item, "start_time"),
        "end_s": _number(item, "end_time"),
    }


def _trace(points: list[Json]) -> dict[str, list[float]]:
    if not all(isinstance(point, dict) for point in points):
        raise BadNarrativeError("traces have points that are no objects")
    axes = {"x": "x", "y": "y", "time_s": "t"}
    return {field: [_number(point, axis) for point in points] for field, axis in axes.items()}


def _text(entry: Json, key: str) -> str:
    value = entry.get(key)
    if value and is_text(value):
        return str(value)
    raise BadNarrativeError(f"{key} is not a text")


def _number(entry: Json, key: str) -> float:
    value = entry.get(key)
    try:
        if is_number(value) and math.isfinite(value):
            return float(value) + 0.0
    except OverflowError:
        pass
    raise BadNarrativeError(f"{key} is not a number")


def _integer(entry: Json, key: str) -> int | None:
    value = entry.get(key)
    if value is None or is_integer(value):
        return typing.cast(int | None, value)
    raise BadNarrativeError(f"{key} is not an integer")


def _lists(entry: Json, key: str) -> list[list[Json]]:
    return _all(entry, key, list, "a list of lists")


def _objects(entry: Json, key: str) -> list[Json]:
    return _all(entry, key, dict, "a list of objects")


def _all(entry: Json, key: str, kind: type, what: str) -> list[Json]:
    value = entry.get(key, [])
    if isinstance(value, list) and all(isinstance(item, kind) for item in value):
        return value
    raise BadNarrativeError(f"{key} is not {what}")

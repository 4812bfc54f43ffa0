"""The line formats of Flickr8k: captions, lists of the splits, and ratings.

Images are known by their file name, which begins with the Flickr id. The published captions have rows
for ``2258277193_586949ec62.jpg.1``, which is no image.
"""

import collections
import csv
import enum
import posixpath
import re
import typing

from schemas.photo_ids import MAX_FLICKR_ID
from schemas.surrogate_ids import surrogate_id

SOURCE = "flickr8k"

KAGGLE_HEADER = "image,caption"


class Flickr8kKind(str, enum.Enum):
    """The files of Flickr8k."""

    CAPTIONS = "captions"
    LEMMAS = "lemmas"
    KAGGLE = "kaggle"
    SPLIT = "split"
    EXPERT = "expert"
    CROWD = "crowd"


class Split(str, enum.Enum):
    """The published division of the images."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


class BadLineError(ValueError):
    """A line does not have the form of its file; the message says why."""


class CaptionLine(typing.NamedTuple):
    """A caption of an image; ``caption_id`` is None where the file does not number them."""

    image: str
    caption_id: int | None
    text: str


class RatingLine(typing.NamedTuple):
    """How well a caption, which was written for ``caption_image``, fits an image."""

    image: str
    caption_image: str
    caption_id: int
    scores: tuple[float, ...]


_IMAGE = re.compile(r"[^\s#,/]+\.(?:jpe?g|png|gif)(?:\.\d+)?", re.IGNORECASE)
_EXTENSION = re.compile(r".*\.(?:jpe?g|png|gif)", re.IGNORECASE)
_PHOTO_ID = re.compile(r"([0-9]{1,18})_")
_CAPTION_LINE = re.compile(r"[^\t]+#[0-9]+\t.*")
_EXPERT_SCORE = re.compile(r"[1-4]")
_SCORE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
_SPLITS = re.compile(r"(?<![a-z])(train|dev|val|test)", re.IGNORECASE)
_SCORES = 3


def recognise(lines: typing.Iterable[str], name: str) -> Flickr8kKind | None:
    """Tells what a file is by its first lines; only lemmas are told from captions by the file's name.

    Args:
        lines: the first lines, without line ends.
        name: path of the file.

    Returns:
        The kind, or None if most lines are of none.

    Example:
        >>> recognise(["1000268201_693b08cb0e.jpg"], "Flickr_8k.trainImages.txt")
        <Flickr8kKind.SPLIT: 'split'>
    """
    filled = [line for line in lines if line.strip()]
    if filled and filled[0].strip().lower() == KAGGLE_HEADER:
        return Flickr8kKind.KAGGLE
    votes = collections.Counter(map(_form, filled))
    kind, count = votes.most_common(1)[0] if votes else (None, 0)
    if kind is None or 2 * count <= len(filled):
        return None
    if kind is Flickr8kKind.CAPTIONS and "lemma" in posixpath.basename(name).lower():
        return Flickr8kKind.LEMMAS
    by_crowd = kind is Flickr8kKind.EXPERT and 2 * sum(map(_may_be_expert, filled)) <= len(filled)
    return Flickr8kKind.CROWD if by_crowd else kind


def split_of(name: str) -> Split | None:
    """Returns the split whose list a file is, by its name.

    Example:
        >>> split_of("Flickr8k_text/Flickr_8k.devImages.txt")
        <Split.DEV: 'dev'>
    """
    found = _SPLITS.search(posixpath.basename(name))
    if not found:
        return None
    return Split.DEV if found.group().lower() == "val" else Split(found.group().lower())


def photo_id_of(image: str) -> int | None:
    """Returns the photo of a file name: the Flickr id that it begins with, else a surrogate.

    Returns:
        None if the name is not that of an image.

    Example:
        >>> photo_id_of("1000268201_693b08cb0e.jpg")
        1000268201
        >>> photo_id_of("2258277193_586949ec62.jpg.1")
    """
    if not _EXTENSION.fullmatch(image):
        return None
    found = _PHOTO_ID.match(image)
    known = found is not None and 0 < int(found.group(1)) <= MAX_FLICKR_ID
    return int(found.group(1)) if found and known else surrogate_id(SOURCE, image)


def read_caption(line: str) -> CaptionLine:
    r"""Reads ``image#number TAB caption``.

    Raises:
        BadLineError: the line has another form.

    Example:
        >>> read_caption("1000268201_693b08cb0e.jpg#1\tA girl going into a wooden building .")
        CaptionLine(image='1000268201_693b08cb0e.jpg', caption_id=1, text='A girl going into a wooden building .')
    """
    key, tab, text = line.partition("\t")
    if not tab:
        raise BadLineError("no tab between the image and its caption")
    image, caption_id = _caption_key(key)
    return CaptionLine(image, caption_id, _text(text))


def read_kaggle_caption(line: str) -> CaptionLine:
    """Reads ``image,caption``, the caption quoted where it has commas; no caption has line ends.

    Raises:
        BadLineError: the line has another form.
    """
    try:
        fields = next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise BadLineError(f"the quotes are wrong ({error})") from error
    if len(fields) != 2:
        raise BadLineError(f"{len(fields)} fields where image and caption were expected")
    return CaptionLine(_image(fields[0]), None, _text(fields[1]))


def read_rating(line: str, kind: Flickr8kKind) -> RatingLine:
    """Reads ``image TAB caption's image#number TAB score TAB score TAB score``.

    Raises:
        BadLineError: the line has another form, or scores that its kind does not have.
    """
    fields = line.split("\t")
    if len(fields) != 2 + _SCORES:
        raise BadLineError(f"{len(fields)} fields where {2 + _SCORES} were expected")
    pattern = _EXPERT_SCORE if kind is Flickr8kKind.EXPERT else _SCORE
    scores = [score.strip() for score in fields[2:]]
    if not all(map(pattern.fullmatch, scores)):
        raise BadLineError(f"scores {', '.join(scores)} are not those of {kind.value} ratings"[:100])
    if kind is Flickr8kKind.CROWD and float(scores[0]) > 1:
        raise BadLineError(f"{scores[0]} is no share of answers")
    caption_image, caption_id = _caption_key(fields[1])
    return RatingLine(_image(fields[0]), caption_image, caption_id, tuple(map(float, scores)))


def read_image_name(line: str) -> str:
    """Reads a line of the list of a split.

    Raises:
        BadLineError: it is no file name of an image.
    """
    return _image(line)


def caption_element(line: CaptionLine, kind: Flickr8kKind) -> dict[str, typing.Any]:
    """Returns an element of ``captions``."""
    return {
        "source": SOURCE,
        "image_id": line.image,
        "caption_id": line.caption_id,
        "text": line.text,
        "is_lemma": kind is Flickr8kKind.LEMMAS,
    }


def rating_element(line: RatingLine, kind: Flickr8kKind) -> dict[str, typing.Any]:
    """Returns an element of ``ratings``."""
    return {
        "source": SOURCE,
        "image_id": line.image,
        "kind": kind.value,
        "caption_image_id": line.caption_image,
        "caption_id": line.caption_id,
        "scores": list(line.scores),
    }


def copy_element(image: str, split: Split | None) -> dict[str, typing.Any]:
    """Returns an element of ``copies``; of an image, all files give the same."""
    return {"source": SOURCE, "image_id": image, "split": split and split.value, "file_name": image}


def _form(line: str) -> Flickr8kKind | None:
    fields = line.strip().split("\t")
    if len(fields) == 2 + _SCORES and _IMAGE.fullmatch(fields[0]) and "#" in fields[1]:
        return Flickr8kKind.EXPERT
    if _CAPTION_LINE.fullmatch(line):
        return Flickr8kKind.CAPTIONS
    return Flickr8kKind.SPLIT if _IMAGE.fullmatch(line.strip()) else None


def _may_be_expert(line: str) -> bool:
    """Whether the scores can be those of experts: among a crowd's is a 0, or else a fraction."""
    return all(map(_EXPERT_SCORE.fullmatch, line.strip().split("\t")[2:]))


def _caption_key(key: str) -> tuple[str, int]:
    image, separator, number = key.rpartition("#")
    if not separator or not re.fullmatch(r"[0-9]{1,9}", number.strip()):
        raise BadLineError("the caption has no number")
    return _image(image), int(number)


def _image(name: str) -> str:
    stripped = name.strip()
    if not _IMAGE.fullmatch(stripped):
        raise BadLineError(f"{stripped[:80]!r} is no file name of an image")
    return stripped


def _text(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise BadLineError("the caption is empty")
    return stripped

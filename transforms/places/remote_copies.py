"""Where on the net copies of a photo may be: URLs below the roots of mirrors, and on Flickr.

What annotation files say about paths is not trusted: a copy whose path could lead out of the root has no URL.
"""

import re
import typing
import urllib.parse

import yarl

from schemas.failures import FailureReason, Stage
from schemas.yfcc import mirror_key
from transforms.fetch.fetch_error import FetchError
from transforms.places.photo_refs import CopyRef, PhotoRef

MIRROR_ROOTS = {
    "open_images": "https://open-images-dataset.s3.amazonaws.com",
    "coco": "http://images.cocodataset.org",
    "yfcc": "https://multimedia-commons.s3.us-west-2.amazonaws.com",
}
"""Default root of each source's mirror, in the order in which mirrors are tried."""

VIDEO_SOURCE = "yfcc"
"""Whose mirror has videos."""

_HASH = re.compile(r"[0-9a-f]{16,32}")
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,5}")
_NO_SEGMENT = re.compile(r"\.|.*[/\\%?#:]", re.DOTALL)
_MAX_SEGMENT_CHARS = 255


class RemoteCopy(typing.NamedTuple):
    """A URL at which a copy of a photo may be.

    Attributes:
        url: http or https; of Flickr as published, so not checked; of a mirror percent-encoded throughout.
        source: whose copy it is.
        image_id: the source's id of it, '' if it has none of its own.
        size_bytes, md5: what the file must be; -1 and '' where nobody knows.
    """

    url: str | yarl.URL
    source: str
    image_id: str = ""
    size_bytes: int = -1
    md5: str = ""


def source_order(base: str) -> tuple[str, ...]:
    """Returns the sources that have a mirror, in the order to try them: the base, then the others.

    Example:
        >>> source_order("yfcc"), source_order("flickr8k")
        (('yfcc', 'open_images', 'coco'), ('open_images', 'coco', 'yfcc'))
    """
    return tuple(sorted(MIRROR_ROOTS, key=lambda source: source != base))


def mirror_copies(source: str, root: str, photo: PhotoRef) -> list[RemoteCopy]:
    """Returns where a source's mirror may have the photo, the likeliest first; nothing if it does not know it.

    Args:
        source: one of :data:`MIRROR_ROOTS`.
        root: http(s) URL of the mirror, percent-encoded; the paths below it are those of the default mirror.
        photo: to look for.
    """
    root = root.rstrip("/")
    if source == "yfcc":
        return [RemoteCopy(yarl.URL(f"{root}/{path}", encoded=True), source) for path in _yfcc_paths(photo)]
    path_of = {"coco": _coco_path, "open_images": _open_images_path}[source]
    image_ids: dict[str, str] = {}
    for copy in photo.copies:
        if copy.source == source and (path := _quoted(path_of(copy))):
            image_ids.setdefault(f"{root}/{path}", copy.image_id)
    return [RemoteCopy(yarl.URL(url, encoded=True), source, image_id) for url, image_id in image_ids.items()]


def video_url(root: str, photo: PhotoRef) -> yarl.URL | None:
    """Returns where YFCC's mirror has a video; None if its name is not known.

    Args:
        root: as for :func:`mirror_copies`.
        photo: the video.
    """
    name = yfcc_hash(photo)
    path = f"data/videos/mp4/{name[0:3]}/{name[3:6]}/{name}.mp4"
    return yarl.URL(f"{root.rstrip('/')}/{path}", encoded=True) if name else None


def default_video_url(photo: PhotoRef) -> str:
    """Returns a video's URL on YFCC's default mirror, whatever ``--mirror`` says; '' if it has none."""
    return str(video_url(MIRROR_ROOTS[VIDEO_SOURCE], photo) or "")


def flickr_copies(source: str, photo: PhotoRef) -> list[RemoteCopy]:
    """Returns where Flickr itself may have the photo, as a source says: Open Images the original, YFCC 500 px."""
    if source == "yfcc":
        return [RemoteCopy(photo.download_url, source)] if photo.download_url else []
    if source == "open_images":
        copies = [c for c in photo.copies if c.source == source and c.url]
        return [RemoteCopy(c.url, source, c.image_id, c.size_bytes, c.md5) for c in copies]
    return []


def default_mirror_url(photo: PhotoRef, base: str) -> str:
    """Returns the photo's URL on the first default mirror that knows it, whatever ``--mirror`` says; '' if none does.

    Args:
        photo: to look for.
        base: source whose mirror comes first.
    """
    copies = (copy for source in source_order(base) for copy in mirror_copies(source, MIRROR_ROOTS[source], photo))
    return next((str(copy.url) for copy in copies), "")


def yfcc_hash(photo: PhotoRef) -> str:
    """Returns the photo's name on YFCC's mirror, '' if it is not known."""
    if _HASH.fullmatch(photo.hash):
        return photo.hash
    return mirror_key(photo.download_url) if photo.download_url else ""


def check_hash(photo: PhotoRef) -> None:
    """Refuses a photo whose hash is that of another URL than its own: YFCC's mirror has some other photo there.

    Raises:
        FetchError: ``checksum_mismatch``.
    """
    if photo.download_url and yfcc_hash(photo) != mirror_key(photo.download_url):
        detail = "the hash is not the md5 of the download URL"
        raise FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail)


def _yfcc_paths(photo: PhotoRef) -> list[str]:
    name = yfcc_hash(photo)
    if not name:
        return []
    own = [photo.extension] if _EXTENSION.fullmatch(photo.extension) else []
    return [f"data/images/{name[0:3]}/{name[3:6]}/{name}.{end}" for end in dict.fromkeys(["jpg", *own])]


def _coco_path(copy: CopyRef) -> str:
    """Returns the path of ``coco_url`` if there is one, else that of the published layout; not yet checked."""
    try:
        url = urllib.parse.urlsplit(copy.url)
    except ValueError:
        return ""
    if url.scheme in ("http", "https"):
        return urllib.parse.unquote(url.path.removeprefix("/"), errors="surrogateescape")
    return _joined(copy.split, copy.file_name)


def _open_images_path(copy: CopyRef) -> str:
    return _joined(copy.split, f"{copy.image_id}.jpg" if copy.image_id else "")


def _joined(folder: str, name: str) -> str:
    """Returns ``folder/name``; '' if one is missing, or the name is no plain name."""
    return f"{folder}/{name}" if folder and name and "/" not in name else ""


def _quoted(path: str) -> str:
    """Returns a path percent-encoded; '' if it could lead elsewhere than straight down.

    Example:
        >>> _quoted("val2017/a b.jpg"), _quoted("val2017/../a.jpg"), _quoted("a//b"), _quoted("a%2fb")
        ('val2017/a%20b.jpg', '', '', '')
    """
    segments = path.split("/")
    if not all(0 < len(s) <= _MAX_SEGMENT_CHARS and s.isprintable() and not _NO_SEGMENT.match(s) for s in segments):
        return ""
    return "/".join(urllib.parse.quote(segment, safe="") for segment in segments)

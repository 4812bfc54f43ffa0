"""Photo ids in the URLs of Flickr's image servers."""

import re
import typing

import pyarrow as pa
import pyarrow.compute as pc

from schemas.photo_ids import MAX_FLICKR_ID

_PATTERN = r"[^?#]*/(?P<id>[0-9]{1,18})_[^/?#]*(?:[?#].*)?"
_FLICKR_URL = re.compile(_PATTERN, re.DOTALL)


def flickr_id(url: typing.Any) -> int | None:
    """Returns the photo id in a static Flickr URL: the base name up to the first underscore.

    Args:
        url: a URL; anything else has no id.

    Example:
        >>> flickr_id("http://farm8.staticflickr.com/7205/6985418911_df7747990d_z.jpg?zz=1")
        6985418911
        >>> flickr_id("http://example.com/photo.jpg")
    """
    found = _FLICKR_URL.fullmatch(url) if isinstance(url, str) else None
    photo_id = int(found.group("id")) if found else 0
    return photo_id if 0 < photo_id <= MAX_FLICKR_ID else None


def flickr_ids(urls: pa.StringArray) -> pa.Int64Array:
    """Returns what :func:`flickr_id` says of each URL, all at once.

    Example:
        >>> flickr_ids(pa.array(["https://c1.staticflickr.com/1/67/197493648_628a7cb2ee_o.jpg", ""])).to_pylist()
        [197493648, None]
    """
    digits = pc.struct_field(pc.extract_regex(urls, rf"(?s)\A{_PATTERN}\z"), "id")
    ids = digits.cast(pa.int64())
    return pc.if_else(pc.and_(pc.greater(ids, 0), pc.less_equal(ids, MAX_FLICKR_ID)), ids, None)

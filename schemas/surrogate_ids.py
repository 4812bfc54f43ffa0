"""Photo ids for images whose Flickr id nobody published.

A surrogate is made of the source's name and the source's own id of the image, so that every file of
that source gives the same photo id. It lies above every Flickr id. It is part of the format: changing
it would move and rename those photos.
"""

import hashlib

from schemas.photo_ids import MAX_FLICKR_ID


def surrogate_id(source: str, own_id: str) -> int:
    """Returns ``2^62 + (h >> 2)``; h is the first 8 bytes, big-endian, of SHA-256 of ``source NUL own_id``.

    Args:
        source: name of the source, such as ``coco``.
        own_id: the source's id of the image, exactly as published, such as ``581929``.

    Returns:
        An id from 2^62 to 2^63 - 1. Two of a million images share one with a chance of 1e-7.

    Example:
        >>> surrogate_id("coco", "581929")
        4785235287105243805
    """
    digest = hashlib.sha256(f"{source}\0{own_id}".encode()).digest()
    return MAX_FLICKR_ID + 1 + (int.from_bytes(digest[:8], "big") >> 2)

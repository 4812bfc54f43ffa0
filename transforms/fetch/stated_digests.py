"""Digests that an answer states of its own body: ``--verify_hash`` compares them with what came.

Read are ``Repr-Digest`` and ``Content-Digest`` (RFC 9530), ``Digest`` (RFC 3230), ``Content-MD5`` (RFC 1864), and what
object stores say: ``x-goog-hash``, and the ``ETag`` of S3 where it is an MD5. A digest of an unknown algorithm, or that
cannot be read, is none.
"""

import base64
import binascii
import hashlib
import re
import typing

import aiohttp

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError

_ALGORITHMS = {"md5": "md5", "sha-256": "sha256", "sha-512": "sha512"}
"""Names in headers, and hashlib's."""

_LISTS = ("repr-digest", "content-digest", "digest")
_GOOGLE, _GOOGLE_STORED = "x-goog-hash", "x-goog-stored-content-encoding"
_AMAZON = "x-amz-request-id"
_AMAZON_NOT_MD5 = {
    "x-amz-server-side-encryption": re.compile(r"(?!AES256$)"),
    "x-amz-server-side-encryption-customer-algorithm": re.compile(""),
    "x-amz-storage-class": re.compile("EXPRESS_ONEZONE"),
}
"""Headers of S3 with which the ``ETag`` is something else, and how their values begin."""

_MD5_ETAG = re.compile(r'"([0-9a-fA-F]{32})"')


class StatedDigest(typing.NamedTuple):
    """A digest of a body, by hashlib's name of its algorithm."""

    algorithm: str
    digest: bytes


def check_digests(response: aiohttp.ClientResponse, chunks: typing.Iterable[bytes]) -> None:
    """Refuses a body that is not the one which its answer states.

    Answers of a part are not looked at: what some headers state is the digest of the whole.

    Args:
        response: whose body was read.
        chunks: the body.

    Raises:
        FetchError: ``checksum_mismatch``.
    """
    stated = stated_digests(response.headers.items()) if response.status == 200 else set()
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name, _ in stated}
    for chunk in chunks if hashes else ():
        for of_body in hashes.values():
            of_body.update(chunk)
    if any(hashes[name].digest() != digest for name, digest in stated):
        detail = "the body has another digest than its answer states"
        raise FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail, response.status)


def stated_digests(headers: typing.Iterable[tuple[str, str]]) -> set[StatedDigest]:
    """Returns the digests that headers state of the body as it is read: none if it is decoded on the way.

    Example:
        >>> stated = stated_digests([("Digest", "MD5=1B2M2Y8AsgTpgAmY7PhCfg==,unixsum=0")])
        >>> [(name, digest.hex()) for name, digest in stated]
        [('md5', 'd41d8cd98f00b204e9800998ecf8427e')]
    """
    values: dict[str, str] = {}
    for name, value in headers:
        values[name.lower()] = f"{values[name.lower()]},{value}" if name.lower() in values else value
    if "content-encoding" in values:
        return set()
    is_as_stored = values.get(_GOOGLE_STORED, "identity") == "identity"
    lists = (values.get(name, "") for name in (*_LISTS, *([_GOOGLE] if is_as_stored else [])))
    items = [item for value in lists for item in value.split(",")]
    found = {digest for item in (*items, f"md5={values.get('content-md5', '')}") if (digest := _read(item))}
    etag = _MD5_ETAG.fullmatch(values.get("etag", ""))
    return found | ({StatedDigest("md5", bytes.fromhex(etag[1]))} if etag and _has_md5_etag(values) else set())


def _read(item: str) -> StatedDigest | None:
    """Reads ``sha-256=:BASE64:`` or ``SHA-256=BASE64``."""
    name, _, value = item.partition("=")
    algorithm = _ALGORITHMS.get(name.strip().lower())
    if not algorithm:
        return None
    try:
        digest = base64.b64decode(value.partition(";")[0].strip().strip(":"), validate=True)
    except (binascii.Error, ValueError):
        return None
    size_bytes = hashlib.new(algorithm, usedforsecurity=False).digest_size
    return StatedDigest(algorithm, digest) if len(digest) == size_bytes else None


def _has_md5_etag(values: dict[str, str]) -> bool:
    return _AMAZON in values and not any(p.match(values[name]) for name, p in _AMAZON_NOT_MD5.items() if name in values)

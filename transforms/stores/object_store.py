"""Object stores: where `s3://bucket/key` and `gs://bucket/key` are on the net, and what signs requests for them."""

import functools
import json
import os
import re
import typing
import urllib.parse
import xml.etree.ElementTree

import yarl

from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_fetch import Sign
from transforms.files.image_files import ImageFile, ImagePlaceError
from transforms.stores.request_signers import CredentialsError, S3Options, SignedRequests, Signer, gcs_signer, s3_signer
from transforms.stores.store_errors import CREDENTIALS_REMEDY
from transforms.stores.store_requests import Answer, NoAnswerError, ask

_S3, _GS = "s3", "gs"
_URL = re.compile(r"(s3|gs)://([A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9])(?:/(.*))?", re.DOTALL)
_HOST_LABEL = re.compile(r"[a-z0-9-]+")
"""Buckets that are a part of the host's name; others are a part of the path, since certificates cover one label."""

_AWS = "https://s3.amazonaws.com"
_ELSEWHERE = "give --s3_endpoint_url if it is on another store"
_PAGE_KEYS = 1000
_REFUSED = (400, 401, 403)
_OTHER_REGION = ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException")


class Bucket(typing.NamedTuple):
    """A bucket.

    Attributes:
        place: flag and value that name it, as messages may say them.
        scheme, name: of its URL.
        url: http(s) URL that keys are below, with a slash at its end.
        signed: None for an anonymous reader.
        options: who lists it, and how long that may take.
    """

    place: str
    scheme: str
    name: str
    url: str
    signed: SignedRequests | None
    options: FetchOptions

    @property
    def sign(self) -> Sign | None:
        """What signs requests of the event loop's; raises ImagePlaceError once the credentials have run out."""
        return functools.partial(_sign, self.place, self.signed) if self.signed else None

    def key_url(self, key: str) -> yarl.URL:
        """Returns the http(s) URL of an object."""
        return key_url(self.url, key)


def key_url(bucket_url: str, key: str) -> yarl.URL:
    """Returns the URL of an object, percent-encoded throughout, as signatures want it; dots are parts of keys."""
    return yarl.URL(bucket_url + urllib.parse.quote(key, safe="/", errors="surrogateescape"), encoded=True)


def is_store_url(text: str) -> bool:
    """Tells whether a value is meant to be in an object store."""
    return text.startswith((f"{_S3}://", f"{_GS}://"))


def split_store_url(text: str) -> tuple[str, str, str] | None:
    """Returns scheme, bucket and key of a URL, None if it has no bucket.

    Example:
        >>> split_store_url("s3://photos/a/b c"), split_store_url("gs://photos"), split_store_url("s3:///a")
        (('s3', 'photos', 'a/b c'), ('gs', 'photos', ''), None)
    """
    match = _URL.fullmatch(text)
    return (match[1], match[2], match[3] or "") if match else None


def open_bucket(place: str, url: str, s3: S3Options, options: FetchOptions) -> tuple[Bucket, str]:
    """Returns the bucket of a URL, and the key.

    Args:
        place: flag and value that name it, as messages may say them.
        url: ``s3://`` or ``gs://``.
        s3: how S3 is reached.
        options: who lists it, and how long that may take.

    Raises:
        ImagePlaceError: there is no such bucket, or credentials are of no use; names place and remedy.
    """
    parts = split_store_url(url)
    if parts is None:
        raise ImagePlaceError(f"{place} names no bucket: give s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    try:
        return _bucket(parts[0], parts[1], s3, options)._replace(place=place), parts[2]
    except (CredentialsError, NoAnswerError) as error:
        raise ImagePlaceError(f"{place} cannot be reached: {error}") from error
    except _NoBucketError as error:
        raise ImagePlaceError(f"{place}: there is no such bucket on AWS; check its name, or {_ELSEWHERE}") from error


def check_bucket(place: str, url: str, s3: S3Options, options: FetchOptions, must_list: bool = False) -> None:
    """Looks whether a bucket can be read at all, as far as that can be told without a key.

    Listing may be forbidden where reading is not, so that alone is no error unless it ``must_list``.

    Raises:
        ImagePlaceError: as :func:`open_bucket`.
    """
    bucket, key = open_bucket(place, url, s3, options)
    try:
        answer = _page(bucket, key, "", 1)
    except (CredentialsError, NoAnswerError) as error:
        raise ImagePlaceError(f"{place} cannot be reached: {error}") from error
    is_closed = answer.error_code == "AccessDenied" or (bucket.scheme == _GS and answer.status in (401, 403))
    if answer.status != 200 and (must_list or not is_closed):
        raise refused(bucket, answer)


def list_bucket(bucket: Bucket, prefix: str) -> typing.Iterator[ImageFile]:
    """Lists the objects below a prefix as the store gives them, page by page.

    Raises:
        ImagePlaceError: listing is not permitted, or fails.
    """
    token = ""
    while True:
        answer = _page(bucket, prefix, token, _PAGE_KEYS)
        if answer.status != 200:
            raise refused(bucket, answer)
        try:
            files, token = (_s3_page if bucket.scheme == _S3 else _gs_page)(answer.body)
        except (ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
            raise ImagePlaceError(f"{bucket.place}: its list cannot be read; is this an object store?") from error
        yield from (file for file in files if not file.name.endswith("/"))
        if not token:
            return


def refused(bucket: Bucket, answer: Answer) -> ImagePlaceError:
    """Returns the error of a place that a store does not give."""
    place, said = bucket.place, f"status {answer.status}{f', {answer.error_code}' if answer.error_code else ''}"
    if answer.status == 404:
        return ImagePlaceError(f"{place}: there is no such bucket ({said}); check its name")
    if answer.error_code in _OTHER_REGION:
        return ImagePlaceError(f"{place} is in another region ({said}): leave out --s3_region_name, or correct it")
    if answer.status not in _REFUSED:
        return ImagePlaceError(f"{place} cannot be read ({said}): check the URL, and run the same command again")
    if bucket.signed:
        remedy = "the credentials that were found do not permit it: use others, or grant them to list and read it"
    else:
        remedy = f"no credentials were found: {CREDENTIALS_REMEDY}"
    return ImagePlaceError(f"{place} is not open to us ({said}); {remedy}")


async def _sign(place: str, signed: SignedRequests, url: str) -> dict[str, str]:
    try:
        return await signed.sign_soon(url)
    except CredentialsError as error:
        raise ImagePlaceError(
            f"{place} cannot be read any more, its credentials have run out ({error}): renew them, and run the same "
            "command again"
        ) from error


class _NoBucketError(Exception):
    pass


@functools.cache
def _bucket(scheme: str, name: str, s3: S3Options, options: FetchOptions) -> Bucket:
    if scheme == _GS:
        return _opened(scheme, name, f"{gs_endpoint()}/{name}/", gcs_signer(), options)
    endpoint = s3.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = s3.region_name
    if endpoint:
        url = f"{endpoint.rstrip('/')}/{name}/"
    else:
        region = region or _region_of(name, options)
        host = f"s3.{region}.amazonaws.com"
        url = f"https://{name}.{host}/" if _HOST_LABEL.fullmatch(name) else f"https://{host}/{name}/"
    return _opened(scheme, name, url, s3_signer(s3, region), options)


def _opened(scheme: str, name: str, url: str, signer: Signer | None, options: FetchOptions) -> Bucket:
    return Bucket("", scheme, name, url, SignedRequests(signer) if signer else None, options)


def _region_of(name: str, options: FetchOptions) -> str:
    """Returns the region of a bucket on AWS, which tells everyone."""
    try:
        answer = ask(f"{_AWS}/{name}", options, method="HEAD")
    except NoAnswerError as error:
        raise NoAnswerError(f"{error}, or {_ELSEWHERE}") from error
    if answer.status == 404:
        raise _NoBucketError
    region = answer.headers.get("x-amz-bucket-region", "")
    if not region:
        raise NoAnswerError(f"{_AWS} does not tell its region (status {answer.status}); give --s3_region_name")
    return region


def gs_endpoint() -> str:
    """Returns Google's storage, or the emulator that its own libraries would use."""
    host = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    return (host if "://" in host else f"http://{host}") if host else "https://storage.googleapis.com"


def _page(bucket: Bucket, prefix: str, token: str, entries: int) -> Answer:
    if bucket.scheme == _S3:
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(entries), "prefix": prefix}
        base, token_name = bucket.url, "continuation-token"
    else:
        query = {"fields": "nextPageToken,items(name,size)", "maxResults": str(entries), "prefix": prefix}
        base, token_name = f"{gs_endpoint()}/storage/v1/b/{bucket.name}/o", "pageToken"
    query |= {token_name: token} if token else {}
    url = f"{base}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe='')}"
    return ask(url, bucket.options, bucket.signed)


def _s3_page(body: bytes) -> tuple[list[ImageFile], str]:
    root = xml.etree.ElementTree.fromstring(body)
    if not root.tag.endswith("ListBucketResult"):
        raise ValueError(root.tag)
    files = []
    for entry in root.findall("{*}Contents"):
        key = urllib.parse.unquote_plus(entry.findtext("{*}Key", ""), errors="surrogateescape")
        files.append(ImageFile(key, int(entry.findtext("{*}Size", "0"))))
    return files, root.findtext("{*}NextContinuationToken", "")


def _gs_page(body: bytes) -> tuple[list[ImageFile], str]:
    page = json.loads(body)
    files = [ImageFile(item["name"], int(item["size"])) for item in page.get("items", ())]
    return files, page.get("nextPageToken", "")

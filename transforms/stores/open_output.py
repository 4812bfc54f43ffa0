"""From a URL to the output that is there."""

import pathlib

from transforms.files.publish import OutputError
from transforms.stores.gcs_output import GcsOutput
from transforms.stores.output import LocalOutput, Output
from transforms.stores.request_signers import S3Options
from transforms.stores.s3_output import S3Output
from transforms.stores.store_output import StoreOutput

_KINDS: dict[str, type[StoreOutput]] = {"s3": S3Output, "gs": GcsOutput}
_OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


def open_output(url: str, s3: S3Options, flag: str = "--output") -> Output:
    """Returns the output at a place.

    Args:
        url: local path, ``file://``, ``s3://``, ``gs://`` or any other that fsspec writes.
        s3: how S3 is reached.
        flag: that names the place, for messages.

    Raises:
        OutputError: it is none that several processes could write.
        NoDatasetError: the place cannot be opened.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "local"):
        return LocalOutput(pathlib.Path(rest if separator else url).expanduser().absolute())
    if scheme == "memory":
        raise OutputError(f"{flag} {url}: memory is of one process alone, and workers are several; name a place")
    if scheme in _OTHER_NAMES:
        raise OutputError(f"{flag} {url}: write {_OTHER_NAMES[scheme]}://{rest}")
    if "::" in url:
        raise OutputError(f"{flag} {url}: places within places cannot be written; name the outer one")
    return _KINDS.get(scheme, StoreOutput)(url, s3)

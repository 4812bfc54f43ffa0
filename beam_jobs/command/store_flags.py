"""The flags of object stores, named as Beam's."""

import dataclasses
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser
from transforms.fetch.fetch_options import FetchOptions
from transforms.files.image_files import ImagePlaceError
from transforms.stores.object_store import check_bucket, is_store_url
from transforms.stores.request_signers import S3Options

SECRET_FLAGS = frozenset(("s3_access_key_id", "s3_secret_access_key", "s3_session_token"))
"""Flags that are written nowhere."""


def add_store_flags(parser: FlagParser) -> None:
    """Adds how S3 is reached, for the dataset, images and mirrors."""
    group = parser.add_argument_group("object stores")
    group.add_argument("--s3_endpoint_url", default="", metavar="URL", help="of another store than AWS")
    group.add_argument("--s3_region_name", default="", metavar="REGION", help="(that of the bucket)")
    group.add_argument("--s3_access_key_id", default="", metavar="ID", help="(what boto3 finds)")
    group.add_argument("--s3_secret_access_key", default="", metavar="KEY", help="(what boto3 finds)")
    group.add_argument("--s3_session_token", default="", metavar="TOKEN", help="of a temporary key")


def s3_options(flags: typing.Mapping[str, typing.Any]) -> S3Options:
    """Returns how S3 is reached.

    Args:
        flags: by name; those that are left out count as not given.

    Raises:
        UsageError: half a key, or an endpoint that is no URL.
    """
    try:
        return S3Options(**{f.name: flags.get(f"s3_{f.name}", "") for f in dataclasses.fields(S3Options)})
    except ValueError as error:
        raise UsageError(str(error)) from error


def reach_dataset(url: str, flags: typing.Mapping[str, typing.Any], is_written: bool = False) -> S3Options:
    """Returns how S3 is reached, having looked whether the store of a dataset is.

    Args:
        url: of the dataset, local or not.
        flags: by name, with those of :func:`add_store_flags`; those that are left out count as not given.
        is_written: the dataset is to be changed, which takes the right to list it.

    Raises:
        UsageError: it cannot be reached; says why, and what to do.
    """
    s3 = s3_options(flags)
    try:
        if is_store_url(url):
            check_bucket(url, url, s3, FetchOptions(), must_list=is_written)
    except ImagePlaceError as error:
        raise UsageError(str(error)) from error
    return s3

"""The flags of object stores, named as Beam's."""

import argparse
import dataclasses
import typing

from beam_jobs.flags import FlagParser
from transforms.request_signers import S3Options

SECRET_FLAGS = frozenset(("s3_access_key_id", "s3_secret_access_key", "s3_session_token"))
"""Flags that are written nowhere."""


def add_store_flags(parser: FlagParser) -> None:
    """Adds how S3 is reached, for images and mirrors."""
    group = parser.add_argument_group("object stores")
    group.add_argument("--s3_endpoint_url", default="", metavar="URL", help="of another store than AWS")
    group.add_argument("--s3_region_name", default="", metavar="REGION", help="(that of the bucket)")
    group.add_argument("--s3_access_key_id", default="", metavar="ID", help="(what boto3 finds)")
    group.add_argument("--s3_secret_access_key", default="", metavar="KEY", help="(what boto3 finds)")
    group.add_argument("--s3_session_token", default="", metavar="TOKEN", help="of a temporary key")


def s3_values(flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Returns the fields of :class:`transforms.request_signers.S3Options`."""
    return {f.name: getattr(flags, f"s3_{f.name}") for f in dataclasses.fields(S3Options)}

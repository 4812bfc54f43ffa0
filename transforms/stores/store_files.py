"""File systems of datasets, by fsspec: any URL, with S3 as its flags say, and Google's store or its emulator."""

import os

import fsspec

from transforms.stores.object_store import gs_endpoint
from transforms.stores.request_signers import CredentialsError, S3Options, gcs_signer, s3_signer

_ATTEMPTS = 6
"""Of each request to S3, botocore's pauses between them; what throttles or resets is survived for some ten seconds."""


def open_file_system(url: str, s3: S3Options) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system of a URL, and the path in it.

    It can be pickled, and keeps no listing of what it has seen.

    Args:
        url: local path, ``s3://``, ``gs://``, or any other that fsspec opens.
        s3: how S3 is reached.

    Raises:
        ValueError: nothing is known of such URLs.
        ImportError: what reads them is not installed.
        OSError: it cannot be opened, or credentials are of no use.
    """
    try:
        if url.startswith("s3://"):
            return _s3_file_system(s3), url.removeprefix("s3://").strip("/")
        if url.startswith("gs://"):
            return _gs_file_system(), url.removeprefix("gs://").strip("/")
    except CredentialsError as error:
        raise OSError(str(error)) from error
    file_system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return file_system, path


def _s3_file_system(s3: S3Options) -> fsspec.AbstractFileSystem:
    try:
        from s3fs import S3FileSystem
    except ImportError as error:
        raise ImportError("s3fs is not installed: pip install 'photobeam[s3]'") from error
    return S3FileSystem(
        anon=s3_signer(s3, s3.region_name) is None,
        key=s3.access_key_id or None,
        secret=s3.secret_access_key or None,
        token=s3.session_token or None,
        endpoint_url=s3.endpoint_url or None,
        client_kwargs={"region_name": s3.region_name} if s3.region_name else {},
        config_kwargs={"retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS}},
        use_listings_cache=False,
    )


def _gs_file_system() -> fsspec.AbstractFileSystem:
    """Returns Google's file system, without its look for zonal buckets: that hangs where there is no gRPC."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        from gcsfs.core import GCSFileSystem
    except ImportError as error:
        raise ImportError("gcsfs is not installed: pip install 'photobeam[gcs]'") from error
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    return GCSFileSystem(
        token="google_default" if not emulated and gcs_signer() else "anon",
        endpoint_url=gs_endpoint(),
        use_listings_cache=False,
    )

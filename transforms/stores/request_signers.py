"""Signatures of requests to object stores, by the credentials that their own tools would find.

Credentials found: every request is signed. None found: none is, and public buckets alone can be read.
"""

import asyncio
import dataclasses
import datetime
import logging
import os
import time
import typing
import urllib.parse

from transforms.files.url_credentials import without_credentials

_log = logging.getLogger("photobeam")

_RENEW_S = 60
"""Temporary credentials are renewed long before they end; this often is asked whether they were."""

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)


class CredentialsError(Exception):
    """Credentials are incomplete, have run out, or need a library that is not installed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class S3Options:
    """How S3 is reached, as Beam's flags of these names say.

    Attributes:
        endpoint_url: of another store than AWS; '' for what the environment says (``AWS_ENDPOINT_URL_S3``,
            ``AWS_ENDPOINT_URL``), else AWS.
        region_name: '' for that of the bucket, or of boto3's configuration where the endpoint is another.
        access_key_id, secret_access_key, session_token: '' for what boto3 finds.

    Raises:
        ValueError: half a key, or an endpoint that is no URL.
    """

    endpoint_url: str = ""
    region_name: str = ""
    access_key_id: str = dataclasses.field(default="", repr=False)
    secret_access_key: str = dataclasses.field(default="", repr=False)
    session_token: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key) or (self.session_token and not self.access_key_id):
            raise ValueError(
                "--s3_access_key_id and --s3_secret_access_key belong together, and --s3_session_token to both: give "
                "all that the key has, or none, and boto3's own places are searched"
            )
        endpoint = urllib.parse.urlsplit(self.endpoint_url)
        if self.endpoint_url and not (endpoint.scheme in ("http", "https") and endpoint.netloc and not endpoint.query):
            raise ValueError(
                f"--s3_endpoint_url {without_credentials(self.endpoint_url)} is no base URL: give one like https://minio.example.org:9000"
            )


class Signer(typing.Protocol):
    """Signs GET requests with credentials that renew themselves."""

    def renew(self) -> None:
        """Takes the credentials that hold now; may ask a server for them. Raises CredentialsError."""

    def holds(self) -> bool:
        """Tells whether what was taken last has not run out."""

    def sign(self, url: str) -> dict[str, str]:
        """Returns the headers that a request for a URL needs; its path is percent-encoded throughout."""


class SignedRequests:
    """What signs the requests of a process, now and again renewing its credentials in a thread.

    Where they cannot be renewed, those at hand are used until they run out; then CredentialsError is raised.

    Args:
        signer: not yet used.

    Raises:
        CredentialsError: there are credentials, but of no use.
    """

    def __init__(self, signer: Signer):
        self._signer, self._is_warned = signer, False
        self._signer.renew()
        self._renewed_s = time.monotonic()

    def sign(self, url: str) -> dict[str, str]:
        """Returns headers for a request."""
        if self._is_old():
            self._renew()
        return self._signer.sign(url)

    async def sign_soon(self, url: str) -> dict[str, str]:
        """Returns headers for a request of the event loop's; the loop goes on while credentials are renewed."""
        if self._is_old():
            self._renewed_s = time.monotonic()  # Else all others would renew them, too.
            await asyncio.to_thread(self._renew)
        return self._signer.sign(url)

    def _is_old(self) -> bool:
        return time.monotonic() - self._renewed_s >= _RENEW_S

    def _renew(self) -> None:
        self._renewed_s = time.monotonic()
        try:
            self._signer.renew()
        except CredentialsError as error:
            if not self._signer.holds():
                raise
            if not self._is_warned:
                _log.warning("credentials cannot be renewed (%s); the old ones still hold", error)
            self._is_warned = True


def s3_signer(options: S3Options, region: str) -> Signer | None:
    """Returns what signs requests to S3: by the options' key, else the one that boto3 finds; None if there is none.

    Args:
        options: endpoint and key.
        region: of the bucket; '' for that of boto3's configuration.

    Raises:
        CredentialsError: a key is given or in the environment, and boto3 is not installed; or it is half a key.
    """
    try:
        import boto3
        import botocore.exceptions
    except ImportError as error:
        if options.access_key_id or "AWS_ACCESS_KEY_ID" in os.environ:
            raise CredentialsError("a key is given, but boto3 is not installed: pip install 'photobeam[s3]'") from error
        return None
    try:
        session = boto3.Session(
            aws_access_key_id=options.access_key_id or None,
            aws_secret_access_key=options.secret_access_key or None,
            aws_session_token=options.session_token or None,
        )
        credentials = session.get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(str(error)) from error
    return S3Signer(credentials, region or session.region_name or "us-east-1") if credentials else None


class S3Signer:
    """Signature version 4 in headers, by botocore.

    Args:
        credentials: botocore's.
        region: that the store expects.
    """

    def __init__(self, credentials: typing.Any, region: str):
        self._credentials, self._region = credentials, region

    def renew(self) -> None:
        """Takes the credentials that hold now."""
        import botocore.auth
        import botocore.awsrequest
        import botocore.exceptions

        try:
            keys = self._credentials.get_frozen_credentials()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, RuntimeError) as error:
            raise CredentialsError(str(error)) from error
        self._auth = botocore.auth.S3SigV4Auth(keys, "s3", self._region)
        self._request = botocore.awsrequest.AWSRequest

    def holds(self) -> bool:
        """Tells whether the key has not run out; those of a user never do."""
        import botocore.credentials

        keys = self._credentials
        return not isinstance(keys, botocore.credentials.RefreshableCredentials) or not keys.refresh_needed(0)

    def sign(self, url: str) -> dict[str, str]:
        """Returns the headers of a GET."""
        request = self._request("GET", url)
        self._auth.add_auth(request)
        return dict(request.headers)


def gcs_signer() -> Signer | None:
    """Returns what signs requests to Google Cloud Storage by the default credentials; None if there are none.

    Raises:
        CredentialsError: they are named, and google-auth is not installed or cannot read them.
    """
    try:
        import google.auth
        import google.auth.exceptions
    except ImportError as error:
        if "GOOGLE_APPLICATION_CREDENTIALS" in os.environ:
            raise CredentialsError("google-auth is not installed: pip install 'photobeam[gcs]'") from error
        return None
    try:
        return GcsSigner(google.auth.default(scopes=_SCOPES)[0])
    except google.auth.exceptions.DefaultCredentialsError as error:
        if "GOOGLE_APPLICATION_CREDENTIALS" in os.environ:
            raise CredentialsError(str(error)) from error
        return None


class GcsSigner:
    """A bearer token, by google-auth.

    Args:
        credentials: google-auth's.
    """

    def __init__(self, credentials: typing.Any):
        self._credentials = credentials

    def renew(self) -> None:
        """Takes a token that holds now."""
        import google.auth.exceptions
        import google.auth.transport.requests

        if not self._credentials.valid:
            try:
                self._credentials.refresh(google.auth.transport.requests.Request())
            except google.auth.exceptions.GoogleAuthError as error:
                raise CredentialsError(str(error)) from error

    def holds(self) -> bool:
        """Tells whether the token has not run out."""
        expiry = self._credentials.expiry
        now = datetime.datetime.now(datetime.timezone.utc)
        return expiry is None or expiry.replace(tzinfo=datetime.timezone.utc) > now

    def sign(self, url: str) -> dict[str, str]:
        """Returns the headers of a GET."""
        return {"Authorization": f"Bearer {self._credentials.token}"}

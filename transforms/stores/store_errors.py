"""What the clients of object stores raise, be it in the middle of an answer."""

import contextlib
import sys
import typing

_CLIENT_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError", "ChecksumError"),
    "google.auth.exceptions": ("GoogleAuthError",),
    "fsspec.exceptions": ("FSTimeoutError",),
}
"""By module: what the clients of stores raise that is no OSError."""

_UNREACHED = {
    "botocore.exceptions": ("EndpointConnectionError", "ConnectTimeoutError"),
    "aiohttp": ("ClientConnectorError",),
}
"""By module: what they raise when no server can be reached."""

CREDENTIALS_REMEDY = (
    "give --s3_access_key_id and --s3_secret_access_key, or set AWS_PROFILE or the like, and install photobeam[s3]; "
    "for gs:// set GOOGLE_APPLICATION_CREDENTIALS and install photobeam[gcs]"
)


@contextlib.contextmanager
def as_os_errors() -> typing.Iterator[None]:
    """Raises as OSError whatever the client of a store raises when it cannot do something."""
    try:
        yield
    except PermissionError as error:
        if error.filename:
            raise
        raise OSError(f"the store does not permit it ({error}); {CREDENTIALS_REMEDY}") from error
    except OSError:
        raise
    except client_errors() as error:
        raise OSError(f"the store does not do it: {error}") from error


def client_errors() -> tuple[type[Exception], ...]:
    """Returns what the clients of stores raise that is no OSError, as far as they are in use."""
    return _loaded(_CLIENT_ERRORS)


def network_remedy(error: Exception) -> str:
    """Returns what to do where a server cannot be reached, '' for any other error."""
    if not isinstance(error, (ConnectionRefusedError, *_loaded(_UNREACHED))):
        return ""
    return "; the server cannot be reached from here: check network, name resolution (DNS), firewall and proxy"


def _loaded(names: typing.Mapping[str, typing.Iterable[str]]) -> tuple[type[Exception], ...]:
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return tuple(getattr(module, error) for name, module in loaded.items() for error in names[name])

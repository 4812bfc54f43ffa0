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
    loaded = {name: sys.modules[name] for name in _CLIENT_ERRORS if name in sys.modules}
    return tuple(getattr(module, error) for name, module in loaded.items() for error in _CLIENT_ERRORS[name])

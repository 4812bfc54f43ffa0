"""Files that flags name beside the dataset: their digests, and their text."""

from beam_jobs.building.build_flags import printable
from beam_jobs.command.errors import UsageError
from transforms.files.file_digest import DigestingReader
from transforms.files.url_credentials import without_credentials
from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_files import open_file_system

_MAX_BYTES = 64 << 20


def file_sha256(flag: str, url: str, s3: S3Options) -> str:
    """Returns the SHA-256 of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with as_os_errors():
            files, path = open_file_system(printable(flag, url), s3)
            with files.open(path, "rb") as file:
                return DigestingReader(file).finish().sha256
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(flag, url, error) from error


def file_text(flag: str, url: str, s3: S3Options) -> str:
    """Reads a text file of some megabytes at most.

    Raises:
        UsageError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        with as_os_errors():
            files, path = open_file_system(printable(flag, url), s3)
            with files.open(path, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(flag, url, error) from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{told(flag, url)}: is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{told(flag, url)}: line {line} is not valid UTF-8: save it as UTF-8") from error


def told(flag: str, url: str) -> str:
    """Returns flag and value for a message, without what the URL carries of passwords and signatures."""
    return f"{flag} {without_credentials(url)}"


def _unreadable(flag: str, url: str, error: Exception) -> UsageError:
    return UsageError(f"{told(flag, url)}: cannot be read: {without_credentials(str(error))}")

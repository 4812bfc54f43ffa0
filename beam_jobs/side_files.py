"""Files that flags name beside the dataset: which state of them was read, and their text."""

from beam_jobs.errors import UsageError
from transforms.request_signers import S3Options
from transforms.store_files import as_os_errors, open_file_system

_MAX_BYTES = 64 << 20


def file_state(flag: str, url: str, s3: S3Options) -> str:
    """Returns what changes when a file changes: its size, and its ETag or time; of a member of a zip, those of the zip.

    Raises:
        UsageError: there is no such file.
    """
    try:
        with as_os_errors():
            files, path = open_file_system(url.rpartition("::")[2], s3)
            info = files.info(path)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{flag} {url}: cannot be read: {error}") from error
    state = next((info[k] for k in ("ETag", "etag", "mtime", "LastModified") if info.get(k)), "")
    return f"{info['size']} bytes, {state}"


def file_text(flag: str, url: str, s3: S3Options) -> str:
    """Reads a text file of some megabytes at most.

    Raises:
        UsageError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        with as_os_errors():
            files, path = open_file_system(url, s3)
            with files.open(path, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{flag} {url}: cannot be read: {error}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{flag} {url}: is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{flag} {url}: line {line} is not valid UTF-8: save it as UTF-8") from error

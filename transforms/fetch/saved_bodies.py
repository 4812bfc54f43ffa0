"""Bodies of responses that are too large for memory go into files as they come."""

import contextlib
import pathlib
import typing

import aiohttp

from transforms.fetch.fetch_error import too_large
from transforms.files.publish import OutputError

CHUNK_BYTES = 1 << 18


class Saved(typing.NamedTuple):
    """Where a body goes that is too large for memory.

    Attributes:
        path: a local file, written anew by each attempt; what is left of a failed one stays.
        max_bytes: a larger body is refused.
        flag: that sets this cap.
        received: told of the bytes as they come.
    """

    path: pathlib.Path
    max_bytes: int
    flag: str
    received: typing.Callable[[int], None]


async def save_body(response: aiohttp.ClientResponse, saved: Saved) -> None:
    """Writes a body into its file.

    Raises:
        FetchError: it is larger than it may be.
        OutputError: the file cannot be written.
    """
    left_bytes = saved.max_bytes
    with _writable(saved.path) as write:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise too_large(saved.max_bytes, response.status, saved.flag)
            write(chunk)
            saved.received(len(chunk))


def saved_chunks(path: pathlib.Path) -> typing.Iterator[bytes]:
    """Reads a saved body again.

    Raises:
        OutputError: its file cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise OutputError(f"{path} cannot be read again ({error.strerror}): choose another place") from error


@contextlib.contextmanager
def _writable(path: pathlib.Path) -> typing.Iterator[typing.Callable[[bytes], None]]:
    """Opens a new file; what is wrong with it is told from what is wrong with the network."""

    def refused(error: OSError) -> OutputError:
        return OutputError(f"{path} cannot be written ({error.strerror}): make room, or choose another place")

    def write(data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            raise refused(error) from error

    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise refused(error) from error
    with file:
        yield write

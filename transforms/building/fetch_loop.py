"""One event loop, client, byte budget and codec thread for the whole life of a process and all shards in its hands."""

import asyncio
import functools
import threading
import typing

from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.places.image_places import Place, PlacesConfig, open_places
from transforms.places.remote_place import Http
from transforms.videos.video_mirror import VideoMirror
from transforms.workers.codec_thread import CodecThread

T = typing.TypeVar("T")

BYTES_IN_FLIGHT = 100_000_000
"""Downloaded bytes in memory at once, in one process."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


class Fetching(typing.NamedTuple):
    """What is fetched with: places of photos, that of videos if there is one, and the client of those on the net."""

    client: HttpClient
    places: list[Place]
    videos: VideoMirror | None


def run_in_loop(main: typing.Coroutine[typing.Any, typing.Any, T]) -> T:
    """Runs a coroutine to its end in this process's loop, which has a thread to itself; from any other thread."""
    return asyncio.run_coroutine_threadsafe(main, _running_loop()).result()


@functools.cache
def shared_fetching(options: FetchOptions, places: PlacesConfig) -> Fetching:
    """Returns what all shards of this process are fetched with; call it within :func:`run_in_loop`.

    Its connections end with the process.

    Raises:
        ImagePlaceError: as :func:`transforms.places.image_places.check_places`.
    """
    client = HttpClient(options, places.roots())
    budget = ByteBudget(max(BYTES_IN_FLIGHT, options.max_image_bytes))
    mirror = places.video_mirror()
    videos = VideoMirror(mirror[0], Http(client, budget, mirror[1])) if mirror else None
    return Fetching(client, open_places(places, client, budget), videos)


@functools.cache
def shared_codec() -> CodecThread:
    """Returns the thread that makes the images of all shards: a process is meant for one core.

    Call it within :func:`run_in_loop`.
    """
    return CodecThread(asyncio.get_running_loop())


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="fetch", daemon=True).start()
        return _loop

"""Are photos still public at Flickr? Each is asked for at the pace of ``--flickr_fallback``; little is downloaded."""

import enum
import typing

from schemas import layout
from schemas.failures import FailureReason
from schemas.photo_ids import MAX_FLICKR_ID
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import PLACEHOLDER_BYTES, FlickrGate, is_placeholder
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import Ask, Part, fetch_bytes
from transforms.files.read_parquet import read_parquet
from transforms.places.photo_refs import FETCH_COLUMNS, photo_ref
from transforms.places.remote_copies import flickr_copies, source_order
from transforms.stores.dataset_files import DatasetFiles
from transforms.workers import progress
from transforms.workers.for_each import for_each

AT_ONCE = 16

_BEGIN = Part(0, PLACEHOLDER_BYTES + 1)
"""So much of a file tells the placeholder from a photo."""

_GONE = frozenset({FailureReason.NOT_FOUND, FailureReason.GONE, FailureReason.PLACEHOLDER})


class Answer(enum.Enum):
    """What Flickr says of a photo."""

    PUBLIC = "still public"
    GONE = "gone"
    UNTOLD = "not told by Flickr"
    NO_URL = "without a URL at Flickr"


class FlickrPhoto(typing.NamedTuple):
    """A photo, and where Flickr has it; '' if nobody says."""

    photo_id: int
    url: str


def read_flickr_photos(dataset: DatasetFiles, shard: int) -> list[FlickrPhoto]:
    """Reads where Flickr has the samples of a shard: the image, else the page."""
    with dataset.open(layout.sidecar_file(shard)) as file:
        rows = read_parquet(file, [*FETCH_COLUMNS, "page_url"]).to_pylist()
    return [FlickrPhoto(row["photo_id"], _flickr_url(row)) for row in rows]


async def ask_flickr(
    shards: typing.Iterable[list[FlickrPhoto]],
    options: FetchOptions,
    requests_per_s: float,
    tell: typing.Callable[[dict[int, Answer]], None],
) -> None:
    """Asks for all photos.

    Args:
        shards: the photos of each.
        options: manners and patience.
        requests_per_s: to Flickr at most, redirects and retries included.
        tell: gets the answers by photo id, a shard at a time.
    """
    gate, budget = FlickrGate(requests_per_s), ByteBudget(AT_ONCE * options.max_image_bytes)
    async with HttpClient(options) as client:
        for photos in shards:
            answers: dict[int, Answer] = {}

            async def ask(photo: FlickrPhoto, answers: dict[int, Answer] = answers) -> None:
                answer = answers[photo.photo_id] = await _ask(photo.url, client, gate, budget)
                progress.count("failed" if answer is Answer.GONE else "samples")

            await for_each(photos, ask, AT_ONCE)
            tell(answers)


def _flickr_url(row: dict[str, typing.Any]) -> str:
    if row["photo_id"] > MAX_FLICKR_ID:
        return ""
    copies = (copy for source in source_order("yfcc") for copy in flickr_copies(source, photo_ref(row)))
    return next((str(copy.url) for copy in copies), row["page_url"] or "")


async def _ask(url: str, client: HttpClient, gate: FlickrGate, budget: ByteBudget) -> Answer:
    if not url:
        return Answer.NO_URL
    for part in (_BEGIN, None):
        try:
            with await fetch_bytes(client, url, budget, Ask(gate.admit, part=part)) as fetched:
                return Answer.GONE if is_placeholder(fetched.data, from_flickr=True) else Answer.PUBLIC
        except FetchError as error:
            gives_no_parts = part is not None and error.http_status == 200
            if not gives_no_parts:
                return _answer(error)
    return Answer.UNTOLD


def _answer(error: FetchError) -> Answer:
    """A photo that may not be used, or is too large, is there all the same."""
    if error.reason in _GONE:
        return Answer.GONE
    return Answer.PUBLIC if error.http_status in (200, 206) else Answer.UNTOLD

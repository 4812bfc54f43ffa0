"""A mirror of videos in a bucket, that signatures alone let in."""

import asyncio
import pathlib

import pytest

from tests.small_videos import small_mp4
from tests.store_servers import S3Server
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.saved_bodies import Saved
from transforms.places.image_places import PlacesConfig
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_place import Http
from transforms.stores.request_signers import S3Options
from transforms.videos.video_mirror import VideoMirror

HASH = "4e2f7a26a1dfbf165a7e30bdabf7e72a"
VIDEO = PhotoRef(7, "000000000007", HASH, "", "")


def test_without_auto_there_is_none() -> None:
    assert PlacesConfig(images=("folder",)).video_mirror() is None


@pytest.mark.usefixtures("no_credentials")
def test_a_bucket_serves_videos_by_their_hash(tmp_path: pathlib.Path, s3: S3Server, bucket: str) -> None:
    s3.put(bucket, {f"copy/data/videos/mp4/4e2/f7a/{HASH}.mp4": small_mp4(7)})
    keys = S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret)
    found = PlacesConfig(mirrors=(("yfcc", f"s3://{bucket}/copy"),), s3=keys).video_mirror()
    assert found

    async def fetch() -> None:
        async with HttpClient(FetchOptions(), [found[0]]) as client:
            mirror = VideoMirror(found[0], Http(client, ByteBudget(1), found[1]))
            saved = Saved(tmp_path / "video", 5_000, "max_video_bytes", lambda _: None)
            fetched = await mirror.fetch(VIDEO, saved)
            assert fetched
            assert fetched.http_status == 200
            assert saved.path.read_bytes() == small_mp4(7)
            assert await mirror.fetch(VIDEO._replace(hash=""), saved) is None
            with pytest.raises(FetchError, match="HTTP status 404"):
                await mirror.fetch(VIDEO._replace(hash=HASH[::-1]), saved)

    asyncio.run(fetch())

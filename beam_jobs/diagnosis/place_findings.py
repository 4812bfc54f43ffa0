"""What a run needs of the net: proxies, servers and buckets of photos, and a few photos fetched for trial."""

import asyncio
import contextlib
import dataclasses
import pathlib
import sqlite3
import tempfile
import threading
import time
import typing

from beam_jobs.building.image_flags import ImageStep
from beam_jobs.diagnosis.findings import FAULT, OK, WARNING, Finding, Look, fault_of
from transforms.building.fetch_loop import BYTES_IN_FLIGHT
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.env_proxies import env_proxies
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.files.image_files import ImagePlaceError
from transforms.files.url_credentials import without_credentials
from transforms.places.image_places import AUTO, PlacesConfig, check_places, fetch_image, list_places, open_places
from transforms.places.photo_refs import PhotoRef
from transforms.places.reach_server import MAX_SKEW_S, UnreachableError, quick, reach
from transforms.places.stored_images import StoredImages, is_stored
from transforms.stores.object_store import check_bucket, is_store_url, open_bucket
from transforms.stores.request_signers import CredentialsError, S3Options
from transforms.stores.scratch import LocalScratch

LIST_S = 6.0
"""Patience with the list of a bucket or archive that photos are fetched from for trial."""


def look_at_proxies() -> typing.Iterator[Finding]:
    """Looks which proxies are asked."""
    try:
        proxies = env_proxies()
    except ValueError as error:
        yield fault_of("proxy", error)
        return
    named = ", ".join(f"{scheme} by {url.with_user(None)}" for scheme, url in proxies.items())
    yield Finding(OK, "proxy", named or "none is set")


def places_of(step: ImageStep, sources: typing.Container[str]) -> list[tuple[str, Look]]:
    """Returns a look at each mirror and place of images that a build would use.

    Args:
        step: what a build would do with images.
        sources: whose mirrors are looked at.
    """
    quickly = quick(step.fetch)
    config = dataclasses.replace(step.places, fetch=quickly)
    looks: list[tuple[str, Look]] = []
    for source, root in config.mirrors_in_use.items():
        if source in sources:
            check = f"--mirror {source}={without_credentials(root)}"
            looks.append((check, _look_at_root(check, root, config.s3, quickly)))
    for spec in config.images:
        if spec != AUTO:
            check = f"--images {without_credentials(spec)}"
            looks.append((check, _look_at_images(check, dataclasses.replace(config, images=(spec,)))))
    return looks


def look_at_bucket(check: str, url: str, s3: S3Options, must_list: bool = True) -> typing.Iterator[Finding]:
    """Looks whether a bucket answers, lets itself be listed, and has our time.

    Args:
        check: what is looked at.
        url: ``s3://`` or ``gs://``.
        s3: how S3 is reached.
        must_list: whether it is a fault that listing is forbidden.
    """
    options = quick(FetchOptions())
    try:
        bucket, _ = open_bucket(check, url, s3, options)
        answered = list(look_at_server(check, bucket.url, options, is_signed=bucket.signed is not None))
        yield from answered
        if answered[0].status == FAULT:
            return
        check_bucket(check, url, s3, options, must_list=must_list)
    except (ImagePlaceError, CredentialsError) as error:
        yield fault_of(check, error)
        return
    yield Finding(OK, check, f"open to us, {'with' if bucket.signed else 'without'} credentials")


def look_at_server(check: str, url: str, options: FetchOptions, is_signed: bool = False) -> typing.Iterator[Finding]:
    """Looks whether a server answers, whatever its answer.

    Args:
        check: what is looked at.
        url: http(s).
        options: who asks.
        is_signed: requests to it are signed, so that the clocks count.
    """
    host = without_credentials(url).rstrip("/")
    try:
        reached = reach(url, options)
    except UnreachableError as error:
        yield Finding(FAULT, check, f"{host}: {error.why}", error.remedy)
        return
    found = f"{host} answers in {reached.took_ms} ms (status {reached.status}){' ' if reached.proxy else ''}"
    yield Finding(OK, check, found + reached.proxy)
    if is_signed and reached.skew_s is not None and abs(reached.skew_s) > MAX_SKEW_S:
        found = f"the clock here is {reached.skew_s / 60:+,.0f} minutes from that of {host}: signatures are refused"
        yield Finding(FAULT, check, found, "set the clock, by NTP")


def look_at_photos(photos: typing.Sequence[PhotoRef], step: ImageStep) -> typing.Iterator[Finding]:
    """Fetches photos as a build would, but once, and throws them away."""
    fetch = quick(step.fetch)
    config = dataclasses.replace(step.places, fetch=fetch)
    with tempfile.TemporaryDirectory(prefix="photobeam-", ignore_cleanup_errors=True) as folder:
        specs = [spec for spec in dict.fromkeys(config.images) if is_stored(spec)]
        lists = {spec: _list_in_time(config, spec, pathlib.Path(folder, str(i))) for i, spec in enumerate(specs)}
        late = [spec for spec, found in lists.items() if not found]
        for spec in late:
            found = f"no list within {LIST_S:g} s, so that no photo of it was tried"
            yield Finding(WARNING, f"photos of {without_credentials(spec)}", found)
        images = tuple(spec for spec in config.images if spec not in late)
        if images or config.flickr_requests_per_s:
            listed = tuple(place for found in lists.values() for place in found)
            config = dataclasses.replace(config, images=images, listed=listed)
            yield from _summed_up(asyncio.run(_tried(photos, fetch, config)))


def _list_in_time(config: PlacesConfig, spec: str, folder: pathlib.Path) -> tuple[StoredImages, ...]:
    """Lists a place on a server; a list that is not there in time is left to itself, and so is one that fails."""
    found: list[StoredImages] = []

    def list_place() -> None:
        with contextlib.suppress(ImagePlaceError, OSError, sqlite3.Error):
            folder.mkdir()
            found.extend(list_places(dataclasses.replace(config, images=(spec,)), LocalScratch(folder)).listed)

    thread = threading.Thread(target=list_place, name="list", daemon=True)
    thread.start()
    thread.join(LIST_S)
    return tuple(found)


def _summed_up(findings: list[Finding]) -> typing.Iterator[Finding]:
    """Adds, where no photo at all was got, that this will not do."""
    yield from findings
    if findings and not any(finding.status == OK for finding in findings):
        found = f"none of {len(findings)} that were tried could be fetched"
        yield Finding(FAULT, "photos", found, "see above why, and look at --images and --mirror")


async def _tried(photos: typing.Sequence[PhotoRef], fetch: FetchOptions, config: PlacesConfig) -> list[Finding]:
    async with HttpClient(fetch, config.roots()) as client:
        budget = ByteBudget(max(BYTES_IN_FLIGHT, fetch.max_image_bytes))
        places = open_places(config, client, budget)

        async def look(photo: PhotoRef) -> Finding:
            check, begun_s = f"photo {photo.key}", time.monotonic()
            try:
                async with fetch_image(places, photo) as image:
                    took_ms = round(1000 * (time.monotonic() - begun_s))
                    where = without_credentials(image.url)
                    found = f"{len(image.data):,} bytes from {image.fetched_from} in {took_ms} ms: {where}"
                    return Finding(OK, check, found)
            except FetchError as error:
                took_ms = round(1000 * (time.monotonic() - begun_s))
                return Finding(WARNING, check, f"{error.reason.value} after {took_ms} ms: {error.detail}")
            except ImagePlaceError as error:
                return fault_of(check, error)

        return list(await asyncio.gather(*map(look, photos)))


def _look_at_root(check: str, root: str, s3: S3Options, options: FetchOptions) -> Look:
    if is_store_url(root):
        return lambda: look_at_bucket(check, root, s3, must_list=False)
    return lambda: look_at_server(check, root, options)


def _look_at_images(check: str, config: PlacesConfig) -> Look:
    def look() -> typing.Iterator[Finding]:
        try:
            check_places(config)
        except (ImagePlaceError, OSError) as error:
            yield fault_of(check, error)
            return
        yield Finding(
            OK, check, "is there, and can be listed" if is_stored(config.images[0]) else "is there, and whole"
        )

    return look

"""A shard from servers that misbehave under load: reasons, time, the rate of healthy hosts, and the yield.

python -m tests.benchmarks.bench_faults --photos 1000 --json
"""

import argparse
import asyncio
import collections
import gzip
import hashlib
import io
import json
import multiprocessing
import multiprocessing.connection
import pathlib
import re
import sys
import tempfile
import time
import typing
import unittest.mock

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from schemas import layout
from schemas.photo_ids import key
from schemas.rows import ROW_SCHEMA
from tests.factories import make_row
from transforms.building import build_shard, fetch_loop
from transforms.building.shard_config import ShardConfig
from transforms.fetch.fetch_options import FetchOptions
from transforms.images.image_codec import ImageOptions
from transforms.places.image_places import PlacesConfig
from transforms.places.remote_copies import RemoteCopy
from transforms.places.remote_place import MIRROR, Http, RemotePlace
from transforms.stores.output import LocalOutput

HOSTS = ("127.0.0.1", "127.0.0.2")
LATENCY_S = 0.05
FETCH = FetchOptions(concurrency=32, timeout_s=1.0, deadline_s=3.0, retries=2, max_image_bytes=1_000_000)
KINDS = {
    "drip": "timeout",
    "stall": "timeout",
    "reset": "connection_error",
    "half": "connection_error",
    "error": "server_error",
    "storm": "rate_limited",
    "loop": "too_many_redirects",
    "bomb": "too_large",
    "long": "too_large",
    "html": "not_an_image",
    "gone": "gone",
}
"""What a path of the server does, and the reason that its photo is to have."""

TRANSIENT = ("error", "reset", "half", "storm")


def picture() -> bytes:
    data = io.BytesIO()
    Image.effect_noise((120, 90), 60).convert("RGB").save(data, "JPEG", quality=90)
    return data.getvalue()


def head(length: int, *lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {length}", "", ""]).encode()


class Server:
    """Answers ``/KIND/…`` as KIND says; ``/once-KIND/…`` at its first request only."""

    def __init__(self) -> None:
        self.picture, self.bomb = picture(), gzip.compress(bytes(20_000_000))
        self.seen: set[bytes] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                if not await self.answer(request.split()[1], writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def answer(self, path: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; returns whether the connection stays."""
        kind = path.split(b"/")[1].decode()
        if kind.startswith("once-"):
            kind = "ok" if path in self.seen else kind.removeprefix("once-")
            self.seen.add(path)
        await asyncio.sleep(LATENCY_S)
        size = len(self.picture)
        plain = {
            "ok": head(size) + self.picture,
            "error": head(0, status="503 Busy"),
            "storm": head(0, "Retry-After: 1", status="429 Slow Down"),
            "loop": head(0, f"Location: {path.decode()}", status="302 Found"),
            "bomb": head(len(self.bomb), "Content-Encoding: gzip") + self.bomb,
            "html": head(6, "Content-Type: image/jpeg") + b"<html>",
            "gone": head(0, status="410 Gone"),
        }
        if kind in plain:
            writer.write(plain[kind])
            return True
        if kind == "reset":
            writer.transport.abort()
        elif kind == "half":
            writer.write(head(size) + self.picture[: size // 2])
        elif kind == "long":
            writer.write(head(10**12) + self.picture)
            await asyncio.sleep(60)
        elif kind == "stall":
            await asyncio.sleep(60)
        else:
            writer.write(head(size))
            for byte in self.picture:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
        return False


def serve(pipe: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        server = Server()
        servers = [await asyncio.start_server(server.connected, host, 0, backlog=512) for host in HOSTS]
        pipe.send([f"http://{h}:{s.sockets[0].getsockname()[1]}" for h, s in zip(HOSTS, servers, strict=True)])
        await asyncio.gather(*(s.serve_forever() for s in servers))

    asyncio.run(main())


class Result(typing.NamedTuple):
    """Of one shard: how long it took, when each host's last sample came, and what became of each URL."""

    span_s: float
    host_s: dict[str, float]
    reasons: dict[str, str]


def run(urls: list[str], roots: list[str]) -> Result:
    """Builds a shard of photos at these URLs."""
    url_of = dict(enumerate(urls, 1_000))
    ended: dict[str, float] = {}
    begun = time.monotonic()

    class Place(RemotePlace):
        async def fetch(self, photo):  # type: ignore[no-untyped-def]
            found = await super().fetch(photo)
            ended[url_of[photo.photo_id].rsplit(":", 1)[0]] = time.monotonic() - begun
            return found

    def places(config, client, budget):  # type: ignore[no-untyped-def]
        return [Place(MIRROR, lambda photo: [RemoteCopy(url_of[photo.photo_id], "yfcc")], Http(client, budget))]

    with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(fetch_loop, "open_places", places):
        output = pathlib.Path(folder)
        path = output / layout.rows_file(0)
        path.parent.mkdir()
        rows = [make_row(i) for i in url_of]
        pq.write_table(pa.Table.from_pylist(sorted(rows, key=lambda r: key(r["photo_id"])), ROW_SCHEMA), path)
        config = ShardConfig(
            output=LocalOutput(output),
            folder=output / "_tmp",
            image=ImageOptions(image_size=64),
            fetch=FETCH,
            places=PlacesConfig(mirrors=(("coco", roots[1]), ("yfcc", roots[0]))),
            format={"format": "jpg", "image_size": [64]},
        )
        begun = time.monotonic()
        build_shard.build_shard(0, hashlib.sha256(path.read_bytes()).hexdigest(), config)
        span_s = time.monotonic() - begun
        fetch_loop.run_in_loop(fetch_loop.shared_fetching(config.fetch, config.places).client.close())
        fetch_loop.shared_fetching.cache_clear()
        failures = output / layout.failures_file(0)
        failed = pq.read_table(failures).to_pylist() if failures.exists() else []
    return Result(span_s, ended, {url_of[f["photo_id"]]: f["reason"] for f in failed})


def mixed(parts: list[list[str]]) -> list[str]:
    """Returns all URLs, those of each part spread evenly."""
    placed = [((i + 0.5) / len(part), url) for part in parts for i, url in enumerate(part)]
    return [url for _, url in sorted(placed)]


def measure(photos: int, roots: list[str]) -> dict[str, typing.Any]:
    here, there = roots
    healthy, other = [f"{here}/ok/{i}" for i in range(photos)], [f"{there}/ok/{i}" for i in range(photos)]
    results: dict[str, typing.Any] = {}
    run(healthy[:200], roots)
    clean = run(healthy, roots)

    faulty = [f"{here}/{kind}/{i}" for kind in KINDS for i in range(photos // 50)]
    result = run(mixed([healthy, faulty]), roots)
    slow = max(clean.span_s, len(faulty) / FETCH.concurrency * FETCH.deadline_s) + FETCH.deadline_s
    wrong = {url: result.reasons.get(url) for url in faulty if result.reasons.get(url) != KINDS[url.split("/")[3]]}
    lost = len(set(healthy) & result.reasons.keys())
    results["faults"] = {
        "healthy": photos,
        "faulty": len(faulty),
        "span_without_s": clean.span_s,
        "span_s": result.span_s,
        "of_allowed": result.span_s / slow,
        "wrong_reasons": dict(collections.Counter(f"{u.split('/')[3]}: {r}" for u, r in wrong.items())),
        "healthy_lost": lost,
    }

    both = run(mixed([healthy, other]), roots)
    for kind in ("stall", "error"):
        ailing = [re.sub("/ok/", f"/{kind}/", url) for url in other]
        result = run(mixed([healthy, ailing]), roots)
        name = here.rsplit(":", 1)[0]
        results[f"host_{kind}"] = {
            "rate_kept": both.host_s[name] / result.host_s[name],
            "span_s": result.span_s,
            "healthy_lost": len(set(healthy) & result.reasons.keys()),
        }

    part = max(1, photos // 400)
    transient = [f"{here}/once-{kind}/{time.time_ns()}-{i}" for kind in TRANSIENT for i in range(part)]
    result = run(mixed([healthy, transient]), roots)
    total = len(healthy) + len(transient)
    results["transient"] = {"injected": len(transient), "yield": 1 - len(result.reasons) / total}
    return results


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    results = measure(flags.photos, here.recv())
    server.terminate()
    bars = {
        "span <= 1.2 of allowed": results["faults"]["of_allowed"] <= 1.2,
        "every reason right": not results["faults"]["wrong_reasons"] and not results["faults"]["healthy_lost"],
        "healthy host keeps 90 %": min(results[f"host_{k}"]["rate_kept"] for k in ("stall", "error")) >= 0.9,
        "yield >= 99.9 %": results["transient"]["yield"] >= 0.999,
    }
    print(json.dumps({**results, "bars": bars}) if flags.json else json.dumps({**results, "bars": bars}, indent=1))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

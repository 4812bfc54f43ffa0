"""CPU per request of fetching alone: 100 KB GETs from an asyncio server in another process.

python -m tests.benchmarks.bench_fetch --requests 4000 --json
"""

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.connection
import resource
import time

import aiohttp

from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes
from transforms.workers.for_each import for_each

BODY = bytes(100_000)


class _Http(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self.transport.write(self.answer)


def serve(pipe: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Http, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def ours(root: str, requests: int) -> None:
    async with HttpClient(FetchOptions(), [root]) as client:
        budget = ByteBudget(100_000_000)

        async def one(i: int) -> None:
            with await fetch_bytes(client, f"{root}/{i}", budget):
                pass

        await for_each(range(requests), one, 4096)


async def bare(root: str, requests: int) -> None:
    """aiohttp alone, as the floor."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(i: int) -> None:
            async with session.get(f"{root}/{i}") as response:
                await response.read()

        await for_each(range(requests), one, 64)


def measure(get, root: str, requests: int) -> dict[str, float]:
    asyncio.run(get(root, 200))
    cpu, begun = cpu_s(), time.monotonic()
    asyncio.run(get(root, requests))
    return {"cpu_ms": 1e3 * (cpu_s() - cpu) / requests, "requests_per_s": requests / (time.monotonic() - begun)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    root = f"http://127.0.0.1:{here.recv()}"
    result = {get.__name__: measure(get, root, flags.requests) for get in (bare, ours)}
    result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    server.terminate()
    print(json.dumps(result) if flags.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()

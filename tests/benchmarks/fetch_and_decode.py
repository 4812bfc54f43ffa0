"""Fetches and decodes JPEGs, and does nothing else: the peer of passing them through.

Run: `python -m tests.benchmarks.fetch_and_decode URLS ROOT PROCESSES`; a file of one URL a line, below that root.
"""

import asyncio
import concurrent.futures
import multiprocessing
import pathlib
import sys

import simplejpeg

from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes
from transforms.workers.for_each import for_each


async def _fetch_and_decode(urls: list[str], root: str) -> None:
    budget, loop = ByteBudget(100_000_000), asyncio.get_running_loop()
    async with HttpClient(FetchOptions(), [root]) as client:
        with concurrent.futures.ThreadPoolExecutor(1) as codec:

            async def one(url: str) -> None:
                with await fetch_bytes(client, url, budget) as fetched:
                    await loop.run_in_executor(codec, simplejpeg.decode_jpeg, fetched.data, "RGBX")

            await for_each(urls, one, 4096)


def main(urls: list[str], root: str) -> None:
    """Fetches and decodes."""
    asyncio.run(_fetch_and_decode(urls, root))


if __name__ == "__main__":
    path, root_, processes = sys.argv[1:]
    lines = pathlib.Path(path).read_text().split()
    children = [
        multiprocessing.get_context("spawn").Process(target=main, args=(lines[i :: int(processes)], root_))
        for i in range(int(processes))
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(child.exitcode or 0 for child in children))

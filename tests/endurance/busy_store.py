"""A build on a real S3 server that has too much to do: the bytes of a local build, whatever the server turns away.

Run: `python tests/endurance/busy_store.py --versitygw PATH [--at_once 1]`; a minute. The server is versitygw
(`go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`), which answers `503 SlowDown` to requests beyond so
many at once.
Exits with 1 if a file differs, `verify` finds a fault, an upload is left behind, or the server turned nothing away.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing

import boto3
import botocore.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from beam_jobs import build_dataset, check_dataset, reprocess_dataset  # noqa: E402
from beam_jobs.demo_data.demo_corpus import MIRROR, PACKS, write_corpus  # noqa: E402
from beam_jobs.demo_data.demo_server import serve  # noqa: E402
from tests.free_port import free_port  # noqa: E402
from tests.killed_runs import DATA_FOLDERS, data_hashes  # noqa: E402

BUCKET, KEY, SECRET = "datasets", "someone", "something"


@contextlib.contextmanager
def versitygw(program: str, folder: pathlib.Path, at_once: int) -> typing.Iterator[tuple[str, pathlib.Path]]:
    """Starts the server; gives its URL and its log of requests, and stops it."""
    (folder / "data").mkdir()
    port, log = free_port(), folder / "requests.log"
    limits = ["--max-requests", str(at_once)] if at_once else []
    command = [program, "--port", f"127.0.0.1:{port}", "--quiet", "--access-log", str(log), *limits]
    keys = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    server = subprocess.Popen([*command, "posix", str(folder / "data")], env={**os.environ, **keys})
    try:
        yield f"http://127.0.0.1:{port}", log
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Builds here and there, and compares; returns 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versitygw", required=True, metavar="PATH", help="the server's program")
    parser.add_argument("--at_once", type=int, default=1, help="requests that it takes at once (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_corpus(folder)
        with serve(folder / MIRROR) as mirror, versitygw(given.versitygw, folder, given.at_once) as (url, log):
            result = _compare(folder, mirror, url)
            result["turned_away"] = _turned_away(log)
    print(json.dumps(result, indent=1))
    return 0 if result["met"] and result["turned_away"] else 1


def _compare(folder: pathlib.Path, mirror: str, url: str) -> dict[str, typing.Any]:
    s3 = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    _when_up(lambda: s3.create_bucket(Bucket=BUCKET))
    here, there, below = folder / "here", folder / "there", f"s3://{BUCKET}/out"
    keys = [f"--s3_endpoint_url={url}", f"--s3_access_key_id={KEY}", f"--s3_secret_access_key={SECRET}"]
    build = [f"--yfcc={folder / PACKS}", f"--mirror=yfcc={mirror}", "--samples_per_shard=50", "--progress=none"]
    codes = [build_dataset.main([*build, f"--output={here}"]), build_dataset.main([*build, f"--output={below}", *keys])]
    codes.append(check_dataset.main([below, *keys]))
    codes.append(reprocess_dataset.main([below, "--retry", f"--mirror=yfcc={mirror}", *keys]))
    for name in (
        o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET) for o in page["Contents"]
    ):
        if name.split("/")[1] in DATA_FOLDERS:
            path = there / name.removeprefix("out/")
            path.parent.mkdir(parents=True, exist_ok=True)
            _when_up(lambda name=name, path=path: s3.download_file(BUCKET, name, str(path)))
    wanted, found = data_hashes(here), data_hashes(there)
    differing = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    uploads = len(s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))
    met = not differing and not uploads and not any(codes)
    return {"files": len(found), "differing": differing, "codes": codes, "uploads": uploads, "met": met}


def _when_up(ask: typing.Callable[[], object], tries: int = 50) -> None:
    for left in reversed(range(tries)):
        try:
            ask()
            return
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            if not left:
                raise
            time.sleep(0.2)


def _turned_away(log: pathlib.Path) -> int:
    return sum("SlowDown" in line.split() for line in log.read_text().splitlines())


if __name__ == "__main__":
    sys.exit(main())

"""A store that dies in the middle of a run, and returns: the run ends with an error, the next one completes it.

Run: `python tests/endurance/dying_store.py`; some minutes. Exits with 1 if a dataset is not as without faults.
"""

import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fault_server import Answer, FaultServer  # noqa: E402
from tests.jobs.conftest import picture  # noqa: E402
from tests.store_servers import S3Server  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path  # noqa: E402

MOMENTS = (
    "lease.json",
    "plan.json",
    "rows/000001.parquet",
    "shards/000001.tar",
    "commits/000002.json",
    "manifest.json",
)
"""The store dies when a file with such a name is to be written."""

PHOTOS = 40


def _objects(s3: S3Server, bucket: str) -> dict[str, bytes]:
    keys = [o["Key"] for o in s3.client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    data = [key for key in keys if key.split("/")[1] in ("rows", "shards", "commits")]
    return {key: s3.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in data}


def _die_at(s3: S3Server, moment: str) -> None:
    is_dead = False

    def fault(method: str, path: str) -> str:
        nonlocal is_dead
        is_dead |= method == "PUT" and path.endswith(moment)
        return "cut" if is_dead else ""

    s3.fault = fault


def _run(module: str, *arguments: str) -> int:
    """Runs a command in a process of its own: one that has lost its lease ends as a whole."""
    return subprocess.run([sys.executable, "-m", f"beam_jobs.{module}", *arguments], cwd=ROOT).returncode


def main() -> int:
    """Builds without faults, then once for each moment; returns 1 if one ends otherwise."""
    with tempfile.TemporaryDirectory() as folder, FaultServer() as mirror, S3Server() as s3:
        source = pathlib.Path(folder, "yfcc100m_dataset")
        lines = [dataset_line(i, 10_000 + 7 * i, random.Random(i)) for i in range(PHOTOS)]
        source.write_text("".join(f"{line}\n" for line in lines))
        mirror.answers.update({mirror_path(line): Answer(picture(i)) for i, line in enumerate(lines)})
        keys = [f"--s3_endpoint_url={s3.url}", f"--s3_access_key_id={s3.key_id}", f"--s3_secret_access_key={s3.secret}"]
        given = [f"--yfcc={source}", f"--mirror=yfcc={mirror.url}", "--samples_per_shard=15", "--progress=none", *keys]
        for number, moment in enumerate(("", *MOMENTS)):
            bucket = f"bucket-{number}"
            s3.put(bucket, {})
            command = [*given, f"--output=s3://{bucket}/out"]
            if moment:
                _die_at(s3, moment)
                code = _run("build_dataset", *command)
                s3.fault = lambda method, path: ""
                print(f"dead at {moment}: exit code {code}")
            if _run("build_dataset", *command) or _run("check_dataset", f"s3://{bucket}/out", *keys):
                return 1
            if _objects(s3, bucket) != _objects(s3, "bucket-0"):
                print(f"dead at {moment}: other bytes")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

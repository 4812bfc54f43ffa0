"""What `photobeam text` takes for a million captions, against a plain loop over NLTK's word_tokenize.

    python tests/benchmarks/bench_text.py --json --nltk_data DIR
    python tests/benchmarks/bench_text.py --captions 200000

The job cuts and counts all captions, makes the vocabulary, cuts them again and writes ids, on --workers processes; its
time has the start of the processes in it. The loop counts a part of them on one core. Exits with 1 if the job is less
than three times as fast as the loop, or takes a quarter more memory for all captions than for a quarter of them.
Captions are made of words as frequent as Zipf has it; some have two sentences, a possessive or a hyphen. Without
NLTK's data --tokenizer nltk_no_punkt is measured.
"""

import argparse
import collections
import functools
import itertools
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from schemas import layout  # noqa: E402
from schemas.records import Plan, PlanRows  # noqa: E402
from schemas.rows import ROW_SCHEMA  # noqa: E402
from tests.annotated_photos import element  # noqa: E402
from tests.factories import make_rows  # noqa: E402
from transforms.files.file_digest import file_digest  # noqa: E402

BAR_RATIO, BAR_MEMORY = 3.0, 1.25
PHOTOS, CAPTIONS = 2_000, 5
"""Of a shard, and of a photo."""

_WORDS = (
    "a", "the", "man", "woman", "dog", "two", "in", "on", "of", "with", "and", "red", "running", "playing", "people",
    "street", "beach", "ball", "white", "young",
)  # fmt: skip
_VOCABULARY = 30_000
"""As of COCO's 600,000 captions."""


def captions(number: int, seed: int) -> typing.Iterator[str]:
    """Makes captions of 8 to 14 words."""
    rnd, ranks = random.Random(seed), np.random.default_rng(seed).zipf(1.3, number * 12)
    words = (_WORDS[rank] if rank < len(_WORDS) else f"word{rank % _VOCABULARY}" for rank in ranks.tolist())
    for _ in range(number):
        some = list(itertools.islice(words, rnd.randint(7, 12)))
        chance = rnd.random()
        if chance < 0.01:
            some.insert(4, "there . A")
        elif chance < 0.1:
            some.insert(3, rnd.choice(["man's", "half-open", "(old)", "sitting,"]))
        yield " ".join(["A", *some]) + rnd.choice([" .", ".", "", "."])


def make_dataset(root: pathlib.Path, number: int) -> None:
    """Writes a dataset without images."""
    template, rows = make_rows([2]), []
    (root / "rows").mkdir(parents=True)
    for shard in range(number // (PHOTOS * CAPTIONS)):
        ids = np.arange(PHOTOS, dtype=np.int64) + 10**6 + shard * PHOTOS
        blank = element("captions", is_lemma=False)
        made = [blank | {"text": text, "caption_id": i} for i, text in enumerate(captions(PHOTOS * CAPTIONS, shard))]
        offsets = pa.array(np.arange(PHOTOS + 1, dtype=np.int32) * CAPTIONS)
        type_ = ROW_SCHEMA.field("captions").type
        lists = pa.ListArray.from_arrays(offsets, pa.array(made, type_.value_type))
        table = template.take(pa.array(np.zeros(PHOTOS, np.int64)))
        for name, column in (("photo_id", pa.array(ids)), ("captions", lists.cast(type_))):
            table = table.set_column(ROW_SCHEMA.get_field_index(name), ROW_SCHEMA.field(name), column)
        path = root / layout.rows_file(shard)
        pq.write_table(table, path)
        rows.append(PlanRows(shard, PHOTOS, file_digest(path).sha256))
    total = len(rows) * PHOTOS
    counts = dict.fromkeys(("removed_by_filters", "collapsed_lines", "input_failures"), 0)
    plan = Plan(selection={}, format={}, inputs=[], shards=len(rows), rows=rows,
                counts=counts | {"input_lines": total, "rows": total})  # fmt: skip
    (root / layout.PLAN).write_bytes(plan.to_json())


def run_job(root: pathlib.Path, flags: list[str]) -> tuple[float, int]:
    """Runs the command; returns its seconds and the most memory that it and its children had, in bytes."""
    begun, most = time.perf_counter(), 0
    command = [sys.executable, "-m", "beam_jobs.cli", "text", str(root), "--overwrite", "--max_tokens=20", *flags]
    job = psutil.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while job.poll() is None:
        most = max(most, _memory_bytes(job))
        time.sleep(1)
    if job.returncode:
        raise subprocess.CalledProcessError(job.returncode, command)
    return time.perf_counter() - begun, most


def _memory_bytes(job: psutil.Process) -> int:
    total = 0
    for process in (job, *job.children(recursive=True)):
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue
    return total


def loop_rate(number: int, nltk_data: str, is_punkt: bool) -> float:
    """Returns how many captions a second a plain loop counts."""
    import nltk

    nltk.data.path.insert(0, nltk_data)
    cut = functools.partial(nltk.word_tokenize, preserve_line=not is_punkt)
    some, counts = list(captions(number, 0)), collections.Counter[str]()
    cut("a. b.")
    begun = time.perf_counter()
    for caption in some:
        counts.update(cut(caption.lower()))
    return number / (time.perf_counter() - begun)


def has_punkt(nltk_data: str) -> bool:
    from transforms.text.tokenizers import NLTK, NoNltkError, tokenizer

    try:
        tokenizer(NLTK, nltk_data)
    except NoNltkError:
        return False
    return True


def measure(folder: pathlib.Path, number: int, workers: int, nltk_data: str) -> dict[str, typing.Any]:
    is_punkt = has_punkt(nltk_data)
    name = "nltk" if is_punkt else "nltk_no_punkt"
    flags = [f"--tokenizer={name}", f"--nltk_data={nltk_data}", f"--workers={workers}"]
    make_dataset(folder / "few", number // 4)
    make_dataset(folder / "all", number)
    _, few_bytes = run_job(folder / "few", flags)
    seconds, bytes_ = run_job(folder / "all", flags)
    loop = loop_rate(min(number, 20_000), nltk_data, is_punkt)
    return {
        "captions": number,
        "workers": workers,
        "tokenizer": name,
        "job_s": round(seconds, 1),
        "captions_per_s": round(number / seconds),
        "loop_captions_per_s": round(loop),
        "ratio": round(number / seconds / loop, 2),
        "few_mb": round(few_bytes / 1e6),
        "all_mb": round(bytes_ / 1e6),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--captions", type=int, default=1_000_000, help="a multiple of 40,000 (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--nltk_data", default="", help="has tokenizers/punkt_tab/ (where NLTK looks)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(pathlib.Path(folder), flags.captions, flags.workers, flags.nltk_data)
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    if flags.json:
        print(json.dumps({**machine, **figures}))
    else:
        for name, value in {**machine, **figures}.items():
            print(f"{name:22} {value}")
    holds = figures["ratio"] >= BAR_RATIO and figures["all_mb"] <= BAR_MEMORY * figures["few_mb"]
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

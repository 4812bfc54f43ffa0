"""CPU and memory of `photobeam join` against DuckDB, on generated dataset, autotags, exif and places.

    python tests/benchmarks/bench_join.py --json
    python tests/benchmarks/bench_join.py --rows 1000000 --memory_rows 5000000

DuckDB runs `join.sql`, which gives the same nested, decoded columns in the same order; equality is
asserted. Both run as commands of their own, in turn; from the CPU time of each (user and system, of
the whole process tree) that of a run over one row is taken off. The least of several runs counts.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import typing

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from schemas.annotations import ANNOTATION_COLUMNS, SOURCE_IMAGE_COLUMNS  # noqa: E402
from tests.yfcc_corpus import write_corpus  # noqa: E402
from transforms.join.cut_rows import count_shards  # noqa: E402
from transforms.join.rows_file import ROW_GROUP_ROWS  # noqa: E402

BAR = 1.5
THREADS = 2
SAMPLES_PER_SHARD = 10_000


class Used(typing.NamedTuple):
    """What one command used: CPU seconds of its process tree, and the memory of its largest process."""

    cpu_s: float
    peak_mb: float


def main() -> int:
    """Runs the benchmark; returns 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rows", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--memory_rows", type=int, default=0, help="also measure memory at so many rows, 0 = not")
    parser.add_argument("--repeats", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--run_duckdb", nargs=3, metavar=("FOLDER", "OUTPUT", "SHARDS"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.run_duckdb:
        run_duckdb(*flags.run_duckdb)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = measure(pathlib.Path(folder), flags.rows, flags.repeats, flags.memory_rows)
    print(json.dumps(result, indent=1) if flags.json else _as_text(result))
    return 0 if result["ratio"] <= BAR else 1


def measure(folder: pathlib.Path, rows: int, repeats: int, memory_rows: int) -> dict[str, typing.Any]:
    """Measures both sides in turn."""
    empty, full = _corpus(folder / "empty", 1), _corpus(folder / "full", rows)
    ours: list[Used] = []
    theirs: list[Used] = []
    for _ in range(repeats):
        ours.append(_join(full, folder / "ours"))
        theirs.append(_duckdb(full, folder / "theirs.parquet", rows))
    _in_a_process_of_its_own(assert_equal, folder / "ours" / "rows", folder / "theirs.parquet")
    our_base = min(_join(empty, folder / "ours_empty").cpu_s for _ in range(repeats))
    their_base = min(_duckdb(empty, folder / "theirs_empty.parquet", 1).cpu_s for _ in range(repeats))
    our_cpu = min(u.cpu_s for u in ours) - our_base
    their_cpu = min(u.cpu_s for u in theirs) - their_base
    result = {
        "rows": rows,
        "photobeam_us_per_row": round(our_cpu / rows * 1e6, 2),
        "duckdb_us_per_row": round(their_cpu / rows * 1e6, 2),
        "ratio": round(our_cpu / their_cpu, 3),
        "bar": BAR,
        "photobeam_peak_mb": round(max(u.peak_mb for u in ours)),
        "duckdb_peak_mb": round(max(u.peak_mb for u in theirs)),
        "rows_bytes_per_row": round(sum(p.stat().st_size for p in (folder / "ours/rows").iterdir()) / rows, 1),
        "duckdb_bytes_per_row": round((folder / "theirs.parquet").stat().st_size / rows, 1),
        "versions": {"duckdb": duckdb.__version__, "pyarrow": pa.__version__, "python": platform.python_version()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    if memory_rows:
        more = _join(_corpus(folder / "more", memory_rows), folder / "ours_more")
        result |= {
            "memory_rows": memory_rows,
            "memory_rows_peak_mb": round(more.peak_mb),
            "memory_growth_bytes_per_row": round(
                (more.peak_mb - result["photobeam_peak_mb"]) * 2**20 / (memory_rows - rows), 1
            ),
        }
    return result


def assert_equal(rows: pathlib.Path, theirs: pathlib.Path) -> None:
    """Compares all values of both outputs, in order; the columns of other sources are empty."""
    ours = pa.concat_tables(pq.read_table(p) for p in sorted(rows.iterdir()))
    other = pq.read_table(theirs)
    for name in {c.name for c in (*ANNOTATION_COLUMNS, *SOURCE_IMAGE_COLUMNS)}:
        if any(ours[name].drop_null().to_pylist()):
            raise AssertionError(f"column {name} is not empty")
    for name in other.schema.names:
        expected = other[name].cast(ours.schema.field(name).type).combine_chunks()
        if not ours[name].combine_chunks().equals(expected):
            raise AssertionError(f"column {name} differs")


def run_duckdb(folder: str, output: str, shards: str) -> None:
    """Runs the SQL in this process."""
    sql = (pathlib.Path(__file__).parent / "join.sql").read_text()
    values = {"folder": folder, "output": output, "shards": shards, "row_group": str(ROW_GROUP_ROWS)}
    for name, value in values.items():
        sql = sql.replace(f"{{{name}}}", value)
    duckdb.connect(config={"threads": THREADS}).execute(sql)


def _in_a_process_of_its_own(function: typing.Callable[..., None], *arguments: typing.Any) -> None:
    """Keeps this process small: a child's peak memory begins with that of the process that forks it."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(function, *arguments).result()


def _corpus(folder: pathlib.Path, rows: int) -> pathlib.Path:
    folder.mkdir()
    write_corpus(folder, rows)
    return folder


def _join(corpus: pathlib.Path, output: pathlib.Path) -> Used:
    command = [sys.executable, "-m", "beam_jobs.join_metadata", "--yfcc", str(corpus), "--output", str(output)]
    return _run([*command, "--workers", str(THREADS), "--progress", "none", "--overwrite"])


def _duckdb(corpus: pathlib.Path, output: pathlib.Path, rows: int) -> Used:
    shards = count_shards(rows, SAMPLES_PER_SHARD)
    return _run([sys.executable, __file__, "--run_duckdb", str(corpus), str(output), str(shards)])


def _run(command: list[str]) -> Used:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {process.returncode}")
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _as_text(result: dict[str, typing.Any]) -> str:
    lines = [f"{name:30} {value}" for name, value in result.items()]
    verdict = "holds" if result["ratio"] <= BAR else "is missed"
    return "\n".join([*lines, f"the bar of {BAR}x DuckDB's CPU {verdict}"])


if __name__ == "__main__":
    sys.exit(main())

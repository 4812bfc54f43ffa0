"""Child processes: answers, errors, deaths that concern one call only, and none left behind."""

import concurrent.futures
import dataclasses
import pathlib
import queue
import signal
import subprocess
import sys
import time
import traceback
import typing

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import layout
from schemas.elements import RowsFile
from schemas.failures import PhotoError
from schemas.rows import ROW_SCHEMA
from tests import crashing
from tests.factories import make_row
from tests.worker_processes import worker_processes
from transforms.building.build_in_worker import build_in_worker
from transforms.building.shard_config import ShardConfig
from transforms.fetch.fetch_options import FetchOptions
from transforms.files.file_digest import file_digest
from transforms.images.image_plan import ImageOptions
from transforms.places.image_places import PlacesConfig
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch
from transforms.workers import decode_limit, progress, worker_pool
from transforms.workers.worker_pool import PoolStoppedError, WorkerPool, died_at
from transforms.workers.worker_process import WorkerDiedError


def test_a_pool_that_can_start_no_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(lanes: int) -> typing.NoReturn:
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(worker_pool, "WorkerProcess", end)
    with pytest.raises(PoolStoppedError, match="the process that starts worker processes was ended"):
        WorkerPool(1).call(len, "abc")


@pytest.fixture
def threads() -> typing.Iterator[concurrent.futures.ThreadPoolExecutor]:
    """Callers."""
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        yield executor


@pytest.fixture
def make_pool() -> typing.Iterator[typing.Callable[..., WorkerPool]]:
    """Makes pools that are stopped in the end; stopping twice does no harm."""
    pools = []

    def make(*sizes: int) -> WorkerPool:
        pools.append(WorkerPool(*sizes))
        return pools[-1]

    yield make
    for pool in pools:
        pool.stop()


def when(path: pathlib.Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_a_child_answers_again_and_again(make_pool: typing.Callable[..., WorkerPool]) -> None:
    pool = make_pool(1)
    assert [pool.call(crashing.double, i) for i in range(50)] == [2 * i for i in range(50)]
    assert len({pool.call(crashing.pid) for _ in range(3)}) == 1


def test_an_error_comes_back_with_its_traceback(make_pool: typing.Callable[..., WorkerPool]) -> None:
    pool = make_pool(1)
    with pytest.raises(ValueError, match="so it is") as caught:
        pool.call(crashing.fail, "so it is")
    assert "in fail" in "".join(traceback.format_exception(caught.value.__cause__))
    with pytest.raises(TypeError, match="pickle"):
        pool.call(crashing.unpicklable)
    with pytest.raises(AttributeError, match="pickle"):
        pool.call(lambda: 1)
    assert pool.call(crashing.double, 4) == 8


@pytest.mark.parametrize(("number", "text"), [(0, "ValueError: odd"), (1, "UntoldError: odd 1")])
def test_an_error_that_no_pipe_takes_is_told_on_every_lane(
    make_pool: typing.Callable[..., WorkerPool],
    threads: concurrent.futures.Executor,
    tmp_path: pathlib.Path,
    number: int,
    text: str,
) -> None:
    pool = make_pool(1, 2)
    busy = threads.submit(pool.call, crashing.wait_for, tmp_path / "begun", tmp_path / "go")
    when(tmp_path / "begun")
    for _ in range(2):
        failed = threads.submit(pool.call, crashing.fail_oddly, number)
        with pytest.raises(RuntimeError, match=f"^{text}$") as caught:
            failed.result(timeout=10)
        assert "in fail_oddly" in "".join(traceback.format_exception(caught.value.__cause__))
    (tmp_path / "go").touch()
    assert busy.result() == pool.call(crashing.pid)


def test_a_call_that_the_child_cannot_read_is_an_error(make_pool: typing.Callable[..., WorkerPool]) -> None:
    pool = make_pool(1)
    with pytest.raises(ValueError, match="unreadable"):
        pool.call(crashing.double, crashing.Unreadable())
    assert pool.call(crashing.double, 1) == 2


def test_work_is_spread_over_children_first_then_over_their_lanes(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(2, 2)
    calls = []
    for i in range(4):
        calls.append(threads.submit(pool.call, crashing.wait_for, tmp_path / str(i), tmp_path / "go"))
        when(tmp_path / str(i))
        assert len(worker_processes()) == min(i + 1, 2)
    waiting = threads.submit(pool.call, crashing.pid)
    time.sleep(0.1)
    assert not waiting.done()
    (tmp_path / "go").touch()
    pids = [call.result() for call in calls]
    assert pids[0] == pids[2] != pids[1] == pids[3] or pids[0] == pids[3] != pids[1] == pids[2]
    assert waiting.result() in pids


@pytest.mark.parametrize("crash", [crashing.read_null, crashing.hang])
def test_a_crash_is_told_and_leaves_the_calls_of_others_alone(
    make_pool: typing.Callable[..., WorkerPool],
    threads: concurrent.futures.Executor,
    tmp_path: pathlib.Path,
    crash: typing.Callable[..., None],
) -> None:
    pool = make_pool(2, 1)
    other = threads.submit(pool.call, crashing.wait_for, tmp_path / "begun", tmp_path / "go")
    when(tmp_path / "begun")
    pid = pool.call(crashing.pid)
    with pytest.raises(WorkerDiedError) as caught:
        pool.call(decode_limit.within_limit, 0.2, crash)
    assert caught.value.pid == pid
    assert caught.value.crashed
    assert caught.value.timed_out == (crash is crashing.hang)
    assert pool.call(crashing.pid) != pid
    (tmp_path / "go").touch()
    assert other.result() != pid


def test_a_crash_takes_the_calls_of_its_other_lane_along(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(1, 2)
    other = threads.submit(pool.call, crashing.wait_for, tmp_path / "begun", tmp_path / "go")
    when(tmp_path / "begun")
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        pool.call(crashing.read_null)
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        other.result()
    assert pool.call(crashing.double, 1) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_is_ended_from_outside_has_not_crashed(
    make_pool: typing.Callable[..., WorkerPool], number: signal.Signals
) -> None:
    with pytest.raises(WorkerDiedError, match=f"was ended by {number.name}") as caught:
        make_pool(1).call(crashing.end_by, number)
    assert not caught.value.crashed
    assert not psutil.pid_exists(caught.value.pid)


def test_who_is_killed_amid_an_answer_has_died(make_pool: typing.Callable[..., WorkerPool]) -> None:
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        make_pool(1).call(crashing.end_amid_the_answer)


def test_a_child_that_ended_unnoticed_gets_no_call(make_pool: typing.Callable[..., WorkerPool]) -> None:
    pool = make_pool(1)
    pid = pool.call(crashing.pid)
    psutil.Process(pid).kill()
    while not pool._running[0].has_ended():
        time.sleep(0.01)
    assert pool.call(crashing.pid) != pid


def test_alone_means_a_process_of_its_own_in_the_place_of_another(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(1, 2)
    shared = pool.call(crashing.pid)
    alone = threads.submit(pool.call_alone, crashing.wait_for, tmp_path / "begun", tmp_path / "go")
    when(tmp_path / "begun")
    another = threads.submit(pool.call_alone, crashing.pid)
    beside = threads.submit(pool.call, crashing.pid)
    time.sleep(0.1)
    assert len(worker_processes()) == 1
    assert not beside.done()
    assert not another.done()
    (tmp_path / "go").touch()
    assert len({shared, alone.result(), another.result(), beside.result()}) == 4
    assert len(worker_processes()) == 1


def test_stop_ends_busy_children_and_every_call(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(1, 1)
    busy = threads.submit(pool.call, crashing.wait_for, tmp_path / "begun", tmp_path / "never")
    waiting = threads.submit(pool.call, crashing.pid)
    when(tmp_path / "begun")
    assert worker_processes()
    pool.stop(PoolStoppedError("for a reason"))
    assert not worker_processes()
    for call in (busy, waiting):
        with pytest.raises(PoolStoppedError, match="for a reason"):
            call.result(timeout=5)
    with pytest.raises(PoolStoppedError, match="for a reason"):
        pool.call(crashing.pid)


def test_children_of_children_end_with_them(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(1)
    arguments = (60, crashing.wait_for, tmp_path / "begun", tmp_path / "never")
    busy = threads.submit(pool.call, decode_limit.in_own_process, *arguments)
    when(tmp_path / "begun")
    family = worker_processes()
    assert len(family) == 2
    pool.stop()
    assert not psutil.wait_procs(family, timeout=5)[1]
    assert isinstance(busy.exception(), PoolStoppedError)


def test_a_program_that_forgets_its_pool_still_ends() -> None:
    code = """from tests import crashing
from transforms.workers.worker_pool import shared_pool
shared_pool(1).call(crashing.pid)"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_an_error_of_one_shard_ends_the_calls_of_all_with_it(
    make_pool: typing.Callable[..., WorkerPool], threads: concurrent.futures.Executor, tmp_path: pathlib.Path
) -> None:
    pool = make_pool(2, 1)
    busy = threads.submit(pool.call, crashing.wait_for, tmp_path / "begun", tmp_path / "never")
    when(tmp_path / "begun")
    config = ShardConfig(
        output=LocalOutput(tmp_path),
        folder=tmp_path,
        image=ImageOptions(),
        fetch=FetchOptions(),
        places=PlacesConfig(images=()),
        format={},
    )
    with pytest.raises(FileNotFoundError) as caught:
        build_in_worker(pool, RowsFile(7, 1, "digest"), config)
    assert caught.value.filename == str(tmp_path / "rows/000007.parquet")
    assert busy.exception(timeout=5) is caught.value


def test_a_shard_that_this_run_has_built_is_not_built_again(
    make_pool: typing.Callable[..., WorkerPool], tmp_path: pathlib.Path
) -> None:
    path = tmp_path / layout.rows_file(0)
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([make_row(7)], ROW_SCHEMA), path)
    rows = RowsFile(0, 1, file_digest(path).sha256)
    config = ShardConfig(
        output=LocalOutput(tmp_path),
        folder=tmp_path / "_tmp/build",
        image=ImageOptions(),
        fetch=FetchOptions(),
        places=PlacesConfig(images=()),
        format={},
        done=LocalScratch(tmp_path / "_tmp/done"),
    )
    pool = make_pool(1, 1)
    built = build_in_worker(pool, rows, config)
    assert (built.rows, built.failed) == (1, 1)
    assert list((tmp_path / "_tmp/build").iterdir()) == []
    path.unlink()
    assert build_in_worker(pool, rows, config) == built
    record = tmp_path / layout.commit_file(0)
    committed = record.read_bytes()
    record.unlink()
    assert build_in_worker(pool, rows, config) == built
    assert record.read_bytes() == committed
    with pytest.raises(FileNotFoundError):
        build_in_worker(pool, rows, dataclasses.replace(config, done=None))


@pytest.mark.parametrize(("number", "is_hinted"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_memory_is_hinted_at_where_it_may_be_to_blame(number: signal.Signals, is_hinted: bool) -> None:
    assert ("memory" in str(died_at(WorkerDiedError(1, -number), "a shard"))) == is_hinted


@pytest.fixture
def own_pool(make_pool: typing.Callable[..., WorkerPool], monkeypatch: pytest.MonkeyPatch) -> WorkerPool:
    """The pool that stands for this process's."""
    pool = make_pool(1)
    monkeypatch.setattr(worker_pool, "_pool", pool)
    return pool


@pytest.mark.parametrize(
    ("function", "arguments", "detail"),
    [
        (crashing.read_null, (), "the decoder crashed"),
        (crashing.end_by, (signal.SIGABRT,), "the decoder crashed"),
        (crashing.hang, (), "decoding took more than 0.5 s of CPU"),
    ],
)
def test_a_crash_in_a_process_of_its_own_is_a_corrupt_image(
    own_pool: WorkerPool, function: typing.Callable[..., None], arguments: tuple[typing.Any, ...], detail: str
) -> None:
    assert decode_limit.in_own_process(60, crashing.double, 1) == 2
    with pytest.raises(PhotoError, match=f"corrupt_image: {detail}"):
        decode_limit.in_own_process(0.5, function, *arguments)
    assert decode_limit.in_own_process(60, crashing.double, 1) == 2


def test_time_that_a_process_does_not_work_is_not_counted(own_pool: WorkerPool) -> None:
    decode_limit.in_own_process(0.2, time.sleep, 0.5)


def test_what_crashes_once_is_tried_again_and_a_kill_is_no_crash(own_pool: WorkerPool, tmp_path: pathlib.Path) -> None:
    assert decode_limit.in_own_process(60, crashing.crash_at_first, tmp_path / "used") > 0
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        decode_limit.in_own_process(60, crashing.end_by, signal.SIGKILL)


def test_what_a_dead_child_has_counted_is_taken_back(make_pool: typing.Callable[..., WorkerPool]) -> None:
    pool = make_pool(1)
    progress.reset()
    with progress.lent_slot() as slot:
        pool.call(progress.counted_in, slot, progress.count, "samples", 3)
        assert progress.counts()["samples"] == 3
        progress.take_back(slot)
        assert progress.counts()["samples"] == 0
        pool.call(progress.counted_in, slot, progress.count, "samples", 5)
    assert progress.counts()["samples"] == 5


def test_a_slot_that_is_lent_again_keeps_what_was_counted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    free.put(1)
    monkeypatch.setattr(progress, "_free", free)
    progress.reset()
    for _ in range(2):
        with progress.lent_slot() as slot:
            progress.counted_in(slot, progress.count, "samples", 5)
    with progress.lent_slot() as slot:
        progress.counted_in(slot, progress.count, "samples", 7)
        progress.take_back(slot)
    assert progress.counts()["samples"] == 10

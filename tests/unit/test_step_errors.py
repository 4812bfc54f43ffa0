"""What a runner tells of a failed step, and what of it reaches people."""

import pytest

from beam_jobs.runners.step_errors import expected_message, message_of

_JAVA = """java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1493, in process
  File "transforms/building/build_shards.py", line 90, in process
{raised}

\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.handle(FnApiControlClient.java:180)
Caused by: java.lang.IllegalStateException: it went wrong
"""


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            "transforms.workers.failure_share.TooManyFailuresError: 7 of 9 failed [while running 'B-ptransform-1']",
            "7 of 9 failed",
        ),
        (
            "transforms.workers.worker_pool.PoolStoppedError: worker process 7 was ended by SIGKILL",
            "worker process 7 was ended by SIGKILL",
        ),
        ("ValueError: a bug [while running 'Spool']", "ValueError: a bug"),
        ("FileNotFoundError: [Errno 2] No such file: 'x'", "FileNotFoundError: [Errno 2] No such file: 'x'"),
    ],
)
def test_the_error_that_python_raised_is_told(raised, told):
    assert message_of(_JAVA.format(raised=raised)) == told


def test_the_last_of_several_errors_is_told():
    raised = "KeyError: 1\n\nThe above exception was the direct cause of the following exception:\n\nValueError: 2"
    assert message_of(_JAVA.format(raised=raised)) == "ValueError: 2"


@pytest.mark.parametrize("what", ['Cannot run program "/opt/photobeam-worker"', "error=2, No such file or directory"])
def test_a_worker_that_is_not_there_is_told_with_what_to_do(what):
    assert message_of(f"java.io.IOException: {what}").startswith("a worker cannot start photobeam-worker: install")
    assert message_of(f"java.io.IOException: {what}", "/x/worker").startswith("a worker cannot start /x/worker: ")


def test_too_few_buffers_are_told_with_what_to_set():
    told = "java.io.IOException: Insufficient number of network buffers: required 512, but only 199 available."
    assert "taskmanager.network.sort-shuffle.min-buffers" in message_of(told)


def test_lost_workers_are_told_with_where_to_look():
    told = "java.lang.RuntimeException: org.grpc.StatusRuntimeException: CANCELLED: client cancelled"
    assert message_of(told).startswith("a worker was lost in each attempt")
    assert message_of(f"{told}\nValueError: a bug [while running 'Spool']") == "ValueError: a bug"


@pytest.mark.parametrize(
    "what",
    [
        "jobmanager.scheduler.NoResourceAvailableException: Slot",
        "concurrent.TimeoutException: Timeout has occurred: 60000 ms",
    ],
)
def test_a_cluster_without_taskmanagers_is_told(what):
    assert message_of(f"failed in state FAILED: {what}").startswith("too few TaskManagers are left")


def test_what_is_not_understood_is_told_whole():
    assert message_of("the job was lost") == "the job was lost"


def test_a_worker_of_another_version_is_told_as_it_says():
    told = "java.lang.RuntimeException: Error received from SDK harness for instruction 1: the worker /v on h has x 1"
    assert message_of(told) == "the worker /v on h has x 1"


def test_too_little_memory_is_told_in_a_sentence():
    wrapped = RuntimeError("Unable to allocate 9 GiB [while running 'WriteTokens']")
    wrapped.__cause__ = MemoryError("Unable to allocate 9 GiB")
    assert expected_message(wrapped) == "there is not enough memory (Unable to allocate 9 GiB)"
    assert expected_message(RuntimeError("a bug")) is None

"""The check of a dataset, on as many cores as a command may use, with its progress."""

import typing

from beam_jobs.command.errors import JobError
from beam_jobs.command.progress_line import show_progress
from transforms.stores.request_signers import S3Options
from transforms.verify.verify_dataset import VerifyReport, verify
from transforms.workers.worker_pool import PoolStoppedError


def verify_output(
    root: str, s3: S3Options, workers: int, progress: str, only: typing.Container[int] | None = None
) -> VerifyReport:
    """Checks a dataset in full.

    Args:
        root, s3, only: as of :func:`transforms.verify.verify_dataset.verify`.
        workers: processes that check shards, at most.
        progress: ``auto``, ``json`` or ``none``.

    Raises:
        JobError: a process that checks shards ended.
        NoDatasetError: there is no dataset.
    """
    with show_progress(progress, 0):
        try:
            return verify(root, only=only, s3=s3, children=workers)
        except PoolStoppedError as error:
            raise JobError(str(error)) from error

"""What the products of `photobeam text` are made from, shard by shard, and what each of them gives."""

import typing

from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs.run_folder import RunFolder
from beam_jobs.runners.run_each_shard import run_each_shard
from beam_jobs.runners.runner_flags import RunnerConfig
from beam_jobs.text.label_flags import LabelOptions
from beam_jobs.text.vector_flags import VectorOptions
from schemas.records import FileDigest
from transforms.datasets.finished_dataset import FinishedDataset
from transforms.stores.output import Output
from transforms.text.counted_work import CountedWork
from transforms.text.text_options import TextOptions


class TextJob(typing.NamedTuple):
    """What is to be made, of what, and where.

    Attributes:
        output: the dataset, held by this run.
        dataset: the same, to be read.
        options: what is in the files of tokens.
        vectors: which are asked for.
        labels: which are asked for.
        nltk_data: folder of NLTK's data, '' for where NLTK looks.
        runner: where the graphs run.
        place: for what is unfinished.
        progress: how it is shown, see :func:`beam_jobs.command.progress_line.show_progress`.
    """

    output: Output
    dataset: FinishedDataset
    options: TextOptions
    vectors: VectorOptions
    labels: LabelOptions
    nltk_data: str
    runner: RunnerConfig
    place: RunFolder
    progress: str

    @property
    def shards(self) -> int:
        """How many the dataset has."""
        return len(self.dataset.sha256)


class Made(typing.NamedTuple):
    """One product, or some: the files by name, what was counted, and what the record is to say beside the options."""

    files: dict[str, FileDigest]
    counts: dict[str, int]
    found: dict[str, typing.Any]


NOTHING = Made({}, {}, {})
"""What is made of what is not asked for."""


def on_each_shard(job: TextJob, name: str, work: typing.Callable[[int], int]) -> None:
    """Does something with each shard, in child processes unless one is enough.

    Args:
        job: whose shards.
        name: of the step.
        work: as of :class:`transforms.workers.each_shard.ShardWork`.

    Raises:
        JobError: it failed for a reason that the operator can mend.
    """
    with show_progress(job.progress, job.dataset.photos_read):
        run_each_shard(name, CountedWork(work), range(job.shards), job.runner, job.output)

"""What the products of `photobeam text` are made from, and what each of them gives."""

import typing

from beam_jobs.label_flags import LabelOptions
from beam_jobs.run_folder import RunFolder
from beam_jobs.runner_flags import RunnerConfig
from beam_jobs.vector_flags import VectorOptions
from schemas.records import FileDigest
from transforms.finished_dataset import FinishedDataset
from transforms.output import Output
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
        progress: how it is shown, see :func:`beam_jobs.progress_line.show_progress`.
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

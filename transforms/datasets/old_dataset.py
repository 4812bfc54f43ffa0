"""A finished dataset that another one is made from: its files, each read whole and as it was written, or not at all."""

import dataclasses
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.annotations import MAPPED_COLUMNS
from schemas.failures import Failure, failure_of
from schemas.photo_ids import hash64, key, shards_of
from schemas.records import CommitRecord, FileDigest
from schemas.samples import IMAGE_COLUMNS, image_placement
from transforms.files.file_digest import DigestingReader, bytes_digest
from transforms.files.publish import OutputError
from transforms.files.read_parquet import read_parquet
from transforms.images.image_plan import ImageOptions
from transforms.stores.dataset_files import DatasetFiles, digest_problem, unreadable

Ids = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldDataset:
    """The dataset that is read.

    Attributes:
        files: its files.
        shards: how many it has.
        image: how its images were written.
    """

    files: DatasetFiles
    shards: int
    image: ImageOptions

    def commit(self, shard: int) -> CommitRecord:
        """Reads the commit record of a shard.

        Raises:
            OutputError: it is missing or damaged.
        """
        name = layout.commit_file(shard)
        try:
            return CommitRecord.from_json(self.files.read(name), f"{self.files}/{name}")
        except OSError as error:
            raise self.damaged(name, unreadable(error)) from error
        except ValueError as error:
            raise OutputError(f"{error}; `photobeam verify {self.files}` says what to do") from error

    def table(self, name: str, expected: FileDigest, columns: list[str] | None = None) -> pa.Table:
        """Reads a Parquet file.

        Args:
            name: of the file.
            expected: what was written.
            columns: which; None for all.

        Raises:
            OutputError: it is missing, or not what was written.
        """
        try:
            data = self.files.read(name)
        except OSError as error:
            raise self.damaged(name, unreadable(error)) from error
        if problem := digest_problem(bytes_digest(data), expected):
            raise self.damaged(name, problem)
        return read_parquet(data, columns)

    def check(self, name: str, expected: FileDigest) -> None:
        """Reads a file to its end.

        Raises:
            OutputError: it is missing, or not what was written.
        """
        try:
            with self.files.open(name) as file:
                problem = digest_problem(DigestingReader(file).finish(), expected)
        except OSError as error:
            problem = unreadable(error)
        if problem:
            raise self.damaged(name, problem)

    def damaged(self, name: str, problem: str) -> OutputError:
        """Returns the error that says what is wrong with a file."""
        return OutputError(f"{self.files}/{name}: {problem}; `photobeam verify {self.files}` says what to do")


class OldPhotos:
    """What an old dataset has of some photos: samples and failures, without the bytes of images."""

    def __init__(self, old: OldDataset, photo_ids: Ids):
        """Reads the shards that have them.

        Args:
            old: the dataset.
            photo_ids: of its rows.

        Raises:
            OutputError: a file is missing or damaged.
        """
        self._old = old
        self._shards: list[int] = []
        samples, self._failures = [], dict[int, Failure]()
        for shard in np.unique(shards_of(hash64(photo_ids), old.shards)).tolist():
            commit = old.commit(shard)
            wanted = pa.array(photo_ids)
            failures = _of_photos(
                old.table(layout.failures_file(shard), commit.files[layout.failures_file(shard)]), wanted
            )
            self._failures |= {row["photo_id"]: failure_of(row) for row in failures.to_pylist()}
            if commit.samples:
                name = layout.sidecar_file(shard)
                table = _of_photos(old.table(name, commit.files[name], _columns(old.image)), wanted)
                samples.append(table)
                self._shards += [shard] * table.num_rows
        table = pa.concat_tables(samples).combine_chunks() if samples else None
        self._columns = {name: table[name].combine_chunks() for name in table.column_names} if table else {}
        self._places = (
            {photo_id: i for i, photo_id in enumerate(self._columns["photo_id"].to_pylist())} if table else {}
        )

    def failure(self, photo_id: int) -> Failure | None:
        """Returns why a photo is in no tar; None if it is."""
        return self._failures.get(photo_id)

    def sample(self, photo_id: int) -> dict[str, typing.Any]:
        """Returns the image columns of a sample, its mapped columns, and where its images lie.

        Raises:
            KeyError: there is no such sample.
        """
        place = self._places[photo_id]
        return {name: column[place].as_py() for name, column in self._columns.items()}

    def image(self, sample: dict[str, typing.Any], size: int) -> bytes:
        """Reads an image of a sample.

        Args:
            sample: as :meth:`sample` gives it.
            size: place among the old dataset's sizes.

        Raises:
            OutputError: the tar is missing or too short.
        """
        name = self._tar(sample)
        offset, length = (sample[column] for column in _placement(self._old.image, size))
        try:
            data = self._old.files.read_range(name, offset, length)
        except OSError as error:
            raise self._old.damaged(name, unreadable(error)) from error
        if len(data) != length:
            raise self._old.damaged(name, f"it ends before byte {offset + length:,}")
        return data

    def damaged_image(self, sample: dict[str, typing.Any], problem: str) -> OutputError:
        """Returns the error that says what is wrong with an image of a sample."""
        return self._old.damaged(self._tar(sample), f"the image of {key(sample['photo_id'])} is damaged ({problem})")

    def _tar(self, sample: dict[str, typing.Any]) -> str:
        return layout.tar_file(self._shards[self._places[sample["photo_id"]]])


def _of_photos(table: pa.Table, photo_ids: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["photo_id"], photo_ids))


def _columns(image: ImageOptions) -> list[str]:
    about = [column.name for column in IMAGE_COLUMNS if column.name != "key"]
    placements = [name for size in range(len(image.sizes)) for name in _placement(image, size)]
    return ["photo_id", *about, *MAPPED_COLUMNS, *placements]


def _placement(image: ImageOptions, size: int) -> tuple[str, str]:
    offset, length = image_placement(image.sizes[size] if size else None)
    return offset.name, length.name

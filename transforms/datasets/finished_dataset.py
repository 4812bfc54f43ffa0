"""A finished dataset to read from: what its records say, and the tables of one shard at a time.

Each file that is read whole is compared with its SHA-256, so that damage is never taken for data.
"""

import typing

import pyarrow as pa

from schemas import layout
from schemas.failures import FAILURE_SCHEMA
from schemas.records import Manifest, Plan, PlanRows
from schemas.rows import ROW_SCHEMA
from schemas.sample_members import AddedMembers
from schemas.samples import sidecar_schema
from schemas.tombstones import is_carried_out
from schemas.videos import VIDEO_SIDECAR_SCHEMA
from transforms.datasets.dataset_records import IMAGE_FLAG
from transforms.datasets.read_table import read_table
from transforms.datasets.remedies import TAKEN_DOWN_STILL
from transforms.files.file_digest import bytes_digest
from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import (
    DamagedDatasetError,
    DatasetFiles,
    Fault,
    NoDatasetError,
    no_dataset_error,
    unreadable,
)
from transforms.stores.request_signers import S3Options


class FinishedDataset(typing.NamedTuple):
    """What the records of a finished dataset say.

    Attributes:
        root: of it, as the operator wrote it.
        files: of it.
        format: of the plan: the flags that decide how a row becomes a sample.
        photos: how many there are, samples and failures.
        samples: how many have an image.
        sha256: of the files of each shard, hex, by name; without images of its rows alone.
        has_images: whether it was made with images; else it ends with its rows.
        added: members of the samples of each shard beside those of a build; None without any.
        is_taken_down: whether no photo is still to be taken out.
    """

    root: str
    files: DatasetFiles
    format: dict[str, typing.Any]
    photos: int
    samples: int
    sha256: list[dict[str, str]]
    has_images: bool
    added: typing.Sequence[AddedMembers | None]
    is_taken_down: bool

    @property
    def photos_read(self) -> int:
        """How many photos products are made of: the samples, and where there are no images all."""
        return self.samples if self.has_images else self.photos

    @property
    def further_sizes(self) -> list[int]:
        """Every ``--image_size`` but the first."""
        return self.format[IMAGE_FLAG][1:]

    def damaged(self, name: str, problem: object) -> DamagedDatasetError:
        """Returns the error that says what is wrong with a file."""
        return damaged_file(self.files, name, problem)


class ShardTables(typing.NamedTuple):
    """Photos of one shard: all rows, and of each a sample, a failure or a video; none of these without images."""

    rows: pa.Table
    samples: pa.Table
    failures: pa.Table
    videos: pa.Table = VIDEO_SIDECAR_SCHEMA.empty_table()


def open_finished(root: str, s3: S3Options | None = None) -> FinishedDataset:
    """Reads plan and manifest; without images the plan alone.

    Raises:
        NoDatasetError: there is no dataset, or it is not finished.
        DamagedDatasetError: a record is damaged, or of another format version.
    """
    files = DatasetFiles(root, s3)
    has_manifest = files.exists(layout.MANIFEST)
    if not has_manifest and not files.exists(layout.PLAN):
        raise no_dataset_error(files)
    try:
        plan = Plan.from_json(files.read(layout.PLAN), layout.PLAN)
        manifest = Manifest.from_json(files.read(layout.MANIFEST), layout.MANIFEST) if has_manifest else None
    except (OSError, ValueError) as error:
        raise DamagedDatasetError(f"{root}: {error}; `photobeam verify {root}` says what to do") from error
    if plan.rows is None or (manifest is None and IMAGE_FLAG in plan.format) or _is_outdated(plan.rows, manifest):
        raise NoDatasetError(f"{root} is not finished; run the same build again: it goes on")
    is_taken_down = is_carried_out(plan)
    if manifest is None:
        sha256 = [{layout.rows_file(rows.shard): rows.digest} for rows in plan.rows]
        photos, added = sum(r.rows for r in plan.rows), [None for _ in plan.rows]
        return FinishedDataset(root, files, plan.format, photos, 0, sha256, False, added, is_taken_down)
    totals, sha256 = manifest.totals, [shard.sha256 for shard in manifest.shards]
    of_shards = [shard.added for shard in manifest.shards]
    photos, samples = totals.rows, totals.samples
    return FinishedDataset(root, files, plan.format, photos, samples, sha256, True, of_shards, is_taken_down)


def check_taken_down(dataset: FinishedDataset) -> None:
    """Checks that no photo is still to be taken out.

    Raises:
        NoDatasetError: one is; the dataset is not finished.
    """
    if not dataset.is_taken_down:
        raise NoDatasetError(f"{dataset.root}: {TAKEN_DOWN_STILL}")


def read_shard(dataset: FinishedDataset, shard: int, images: bool = True) -> ShardTables:
    """Reads the tables of a shard; what the dataset does not have is empty.

    Args:
        dataset: where.
        shard: its number; it may lie beyond the last.
        images: whether samples, failures and videos are wanted.

    Raises:
        DamagedDatasetError: a file is missing or not what was written.
    """
    sha256 = dataset.sha256[shard] if shard < len(dataset.sha256) else {}
    schemas = {layout.rows_file(shard): ROW_SCHEMA}
    placed = (dataset.further_sizes, dataset.added[shard]) if sha256 and dataset.has_images else ()
    of_images = {
        layout.sidecar_file(shard): sidecar_schema(*placed),
        layout.failures_file(shard): FAILURE_SCHEMA,
        layout.video_sidecar_file(shard): VIDEO_SIDECAR_SCHEMA,
    }
    wanted = sha256.keys() & ({*schemas, *of_images} if images else schemas.keys())
    tables = (
        _read_table(dataset, name, sha256[name], schema) if name in wanted else schema.empty_table()
        for name, schema in (schemas | of_images).items()
    )
    return ShardTables(*tables)


def read_columns(files: DatasetFiles, name: str, sha256: str, columns: typing.Sequence[str]) -> pa.Table:
    """Reads columns of a table.

    Args:
        files: of the dataset.
        name: of the table.
        sha256: of the file, hex.
        columns: their names, or those of leaves, as in the file; each is there.

    Raises:
        DamagedDatasetError: the file is missing or not what was written.
    """
    return read_parquet(_read_checked(files, name, sha256), columns)


def damaged_file(files: DatasetFiles, name: str, problem: object) -> DamagedDatasetError:
    """Returns the error that says what is wrong with a file of a dataset."""
    return DamagedDatasetError(f"{files}: {name}: {problem}; `photobeam verify {files}` says what to do")


def _is_outdated(planned: list[PlanRows], manifest: Manifest | None) -> bool:
    """Tells whether the manifest is of other rows than the plan names: another selection was joined since."""
    if manifest is None:
        return False
    made_from = [shard.sha256.get(layout.rows_file(i)) for i, shard in enumerate(manifest.shards)]
    return made_from != [rows.digest for rows in planned]


def _read_table(dataset: FinishedDataset, name: str, sha256: str, schema: pa.Schema) -> pa.Table:
    faults: list[Fault] = []
    table = read_table(_read_checked(dataset.files, name, sha256), name, schema, "", faults)
    if table is None:
        raise dataset.damaged(name, faults[0].problem)
    return table


def _read_checked(files: DatasetFiles, name: str, sha256: str) -> bytes:
    try:
        data = files.read(name)
    except OSError as error:
        raise damaged_file(files, name, unreadable(error)) from error
    if bytes_digest(data).sha256 != sha256:
        raise damaged_file(files, name, "its bytes have changed")
    return data

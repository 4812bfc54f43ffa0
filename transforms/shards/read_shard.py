"""What a committed shard holds, read back and checked, so that the shard can be written again with other content."""

import collections
import contextlib
import pickle
import typing

import pyarrow as pa

from schemas import layout
from schemas.annotations import GEOMETRY_COLUMNS, MAPPED_COLUMNS
from schemas.failures import Failure, failure_of
from schemas.records import CommitRecord
from schemas.sample_members import added_columns
from schemas.samples import IMAGE_COLUMNS, image_extensions
from transforms.datasets.remedies import REDO_SHARD
from transforms.files.file_digest import DigestingReader, bytes_digest
from transforms.files.publish import OutputError
from transforms.files.read_parquet import read_parquet
from transforms.shards.image_spool import ImageSpool, SpoolPlace
from transforms.shards.tar_shard import TarDamageError, read_tar
from transforms.shards.write_shard import Format, ShardRows, SpooledImage
from transforms.stores.dataset_files import DatasetFiles

_ROWS_AT_A_TIME = 500
_COLUMNS = [column.name for column in IMAGE_COLUMNS if column.name != "key"]


class DamagedShardError(OutputError):
    """A file of a shard is missing, or is not the one that was committed; the message names it and the remedy."""


class MissingFileError(DamagedShardError):
    """A file of a shard is missing: it may have been moved."""


def read_rows(dataset: DatasetFiles, commit: CommitRecord) -> ShardRows:
    """Reads the rows that a shard was made from.

    Raises:
        DamagedShardError: the file is not the one that was committed.
    """
    name = layout.rows_file(commit.shard)
    return ShardRows(commit.shard, read_committed(dataset, commit, name), commit.files[name])


def read_failures(dataset: DatasetFiles, commit: CommitRecord) -> pa.Table:
    """Reads the failures of a shard.

    Raises:
        DamagedShardError: the file is not the one that was committed.
    """
    return read_committed(dataset, commit, layout.failures_file(commit.shard))


def failures_of(table: pa.Table) -> list[Failure]:
    """Returns rows of :data:`schemas.failures.FAILURE_SCHEMA` as failures."""
    return [failure_of(row) for row in table.to_pylist()]


def spool_samples(
    dataset: DatasetFiles, commit: CommitRecord, rows: pa.Table, plan_format: Format, spool: ImageSpool
) -> list[SpooledImage]:
    """Reads the samples of those photos that are among the rows, and appends their images to a spool.

    The tar is read once from begin to end, one sample in memory, since only that tells whether it is whole.

    Args:
        dataset: holds the shard.
        commit: of the shard.
        rows: to which :attr:`SpooledImage.row` leads; values that they lack are kept from the samples, those of added
            members among them.
        plan_format: that the shard was made in.
        spool: takes the images.

    Raises:
        DamagedShardError: a file is not the one that was committed.
    """
    if not commit.samples:
        return []
    sidecar = read_committed(dataset, commit, layout.sidecar_file(commit.shard))
    place = {photo_id: row for row, photo_id in enumerate(rows["photo_id"].to_pylist())}
    kept = [i for i, photo_id in enumerate(sidecar["photo_id"].to_pylist()) if photo_id in place]
    sidecar = sidecar.take(pa.array(kept, pa.int64()))
    images: list[SpooledImage] = []
    of_images = [*_COLUMNS, *(column.name for column in added_columns(commit.added))]
    pictures = _spool_pictures(dataset, commit, set(sidecar["key"].to_pylist()), plan_format, spool)
    for begin in range(0, sidecar.num_rows, _ROWS_AT_A_TIME):
        samples = sidecar.slice(begin, _ROWS_AT_A_TIME)
        places = [place[photo_id] for photo_id in samples["photo_id"].to_pylist()]
        mapped = _mapped_columns(samples, rows.take(pa.array(places, pa.int64())))
        columns = samples.select(of_images).to_pylist()
        for row, own, of_image, name in zip(places, mapped, columns, samples["key"].to_pylist(), strict=True):
            annotations = spool.append(pickle.dumps(own)) if own else None
            images.append(SpooledImage(row, of_image, pictures[name], annotations))
    return images


def read_images(
    dataset: DatasetFiles, commit: CommitRecord, extensions: typing.Container[str]
) -> typing.Iterator[tuple[str, bytes]]:
    """Reads images of a shard from the tar, once from begin to end: only that tells whether it is whole.

    Args:
        dataset: holds the shard.
        commit: of the shard; it has samples.
        extensions: of the members that are wanted.

    Yields:
        Key and file of each, in the order of the tar. They count only when all of them have come.

    Raises:
        DamagedShardError: the tar is missing, or not the one that was committed.
    """
    with open_committed_tar(dataset, commit, layout.tar_file(commit.shard)) as tar:
        for member in read_tar(tar):
            own_key, _, extension = member.name.partition(".")
            if extension in extensions:
                yield own_key, member.data


@contextlib.contextmanager
def open_committed_tar(dataset: DatasetFiles, commit: CommitRecord, name: str) -> typing.Iterator[typing.BinaryIO]:
    """Opens a tar of a shard, to be read once; at the end of the ``with`` block it is known whether it is whole.

    Raises:
        DamagedShardError: the tar is missing, or not the one that was committed.
    """
    with reading(dataset, name), dataset.open(name) as file:
        tar = DigestingReader(file)
        try:
            yield typing.cast(typing.BinaryIO, tar)
        except TarDamageError as error:
            raise changed_file(dataset, name) from error
        if tar.finish() != commit.files[name]:
            raise changed_file(dataset, name)


def read_committed(dataset: DatasetFiles, commit: CommitRecord, name: str) -> pa.Table:
    """Reads a table of a shard.

    Raises:
        DamagedShardError: the file is not the one that was committed.
    """
    with reading(dataset, name):
        data = dataset.read(name)
    if bytes_digest(data) != commit.files[name]:
        raise changed_file(dataset, name)
    return read_parquet(data)


def changed_file(dataset: DatasetFiles, name: str) -> DamagedShardError:
    """Returns the error of a file that is not the one that was committed."""
    return DamagedShardError(f"{dataset}/{name} is damaged or was replaced; {REDO_SHARD}")


@contextlib.contextmanager
def reading(dataset: DatasetFiles, name: str) -> typing.Iterator[None]:
    """Tells of a file that is missing as of one that is damaged."""
    try:
        yield
    except FileNotFoundError as error:
        problem = f"is missing; bring it back if it was moved, else {REDO_SHARD}"
        raise MissingFileError(f"{dataset}/{name} {problem}") from error


def _spool_pictures(
    dataset: DatasetFiles, commit: CommitRecord, keys: typing.Container[str], plan_format: Format, spool: ImageSpool
) -> dict[str, list[SpoolPlace]]:
    """Appends the images of some samples; returns where those of each lie, in the order of their sizes."""
    extensions = image_extensions(plan_format["format"], plan_format["image_size"][1:])
    places = collections.defaultdict[str, list[SpoolPlace]](list)
    for own_key, image in read_images(dataset, commit, extensions):
        if own_key in keys:
            places[own_key].append(spool.append(image))
    return places


def _mapped_columns(samples: pa.Table, rows: pa.Table) -> list[dict[str, typing.Any] | None]:
    """Returns the annotations of each sample, None where they are those of its row: no geometry, no more warnings."""
    mapped, published = (table.select(list(MAPPED_COLUMNS)).to_pylist() for table in (samples, rows))
    return [
        own if own["warnings"] != row["warnings"] or any(row[name] for name in GEOMETRY_COLUMNS) else None
        for own, row in zip(mapped, published, strict=True)
    ]

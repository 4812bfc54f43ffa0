"""The features of one shard: its tar, read once → batches of pictures → the network → `features/NNNNNN.*`."""

import dataclasses
import itertools
import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from schemas.feature_records import (
    FeaturesRecord,
    features_array,
    features_record,
    features_schema,
    features_table,
)
from schemas.records import CommitRecord, FileDigest
from transforms.features.onnx_model import ModelFile, ModelFit, infer
from transforms.features.preprocess import Preprocessing, prepare
from transforms.files.file_digest import file_digest
from transforms.files.publish import staging_in
from transforms.images.decode_image import DECODER_ERRORS, DECODERS, open_image
from transforms.shards.read_shard import changed_file, read_images
from transforms.stores.output import Output, read_record
from transforms.workers.progress import count

if typing.TYPE_CHECKING:
    import onnxruntime as ort

_GROUP_ROWS = 1_000

Vectors = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """How features are made.

    Attributes:
        output: the dataset.
        folder: local, for everything unfinished; None for temporary files of each worker's machine.
        model: the network.
        fit: how images go into it.
        preprocessing: how pictures become its numbers.
        batch_size: pictures at once; batches are cut within a shard, so that they are the same in every run.
        extension: of the images in the tar.
        options: for the records.
    """

    output: Output
    folder: pathlib.Path | None
    model: ModelFile
    fit: ModelFit
    preprocessing: Preprocessing
    batch_size: int
    extension: str
    options: dict[str, typing.Any]


def extract_shard(shard: int, session: "ort.InferenceSession", config: FeaturesConfig) -> int:
    """Makes and records the features of a shard that has samples; may be repeated, or done twice at once.

    Args:
        shard: its number.
        session: the model.
        config: how.

    Returns:
        The number of samples.

    Raises:
        DamagedShardError: the tar is not the one that was committed, or an image in it does not decode.
        ModelError: the model fails.
    """
    output = config.output
    commit = read_record(output, layout.commit_file(shard), CommitRecord)
    with staging_in(config.folder, f"features-{layout.shard_name(shard)}-") as staging:
        array = staging / "array"
        keys = _write_vectors(array, _batches(commit, session, config), commit.samples, config.fit.width)
        table = staging / "table"
        write_table(keys, np.load(array, mmap_mode="r"), table)
        publish_features(commit, array, table, config.options, output)
    return len(keys)


def publish_features(
    commit: CommitRecord, array: pathlib.Path, table: pathlib.Path, options: dict[str, typing.Any], output: Output
) -> None:
    """Gives the files of a shard their names; an older record goes first, the new one comes last.

    Args:
        commit: of the shard that they are of.
        array, table: local files.
        options: for the record.
        output: the dataset.
    """
    shard, files = commit.shard, dict[str, FileDigest]()
    not_finite = sum(not np.isfinite(row).all() for row in np.load(array, mmap_mode="r"))
    output.remove(features_record(shard))
    for name, staged in ((features_array(shard), array), (features_table(shard), table)):
        files[name] = file_digest(staged)
        output.publish(staged, name)
    made_from = commit.files[layout.tar_file(shard)].sha256
    record = FeaturesRecord(
        shard=shard,
        samples=commit.samples,
        not_finite=not_finite,
        options=options,
        made_from=made_from,
        files=files,
    )
    output.write(features_record(shard), record.to_json())


def write_array(vectors: Vectors, path: pathlib.Path) -> None:
    """Writes vectors as a NumPy file."""
    with open(path, "wb") as file:
        np.save(file, vectors)


def write_table(keys: typing.Sequence[str], vectors: Vectors, path: pathlib.Path) -> None:
    """Writes vectors as Parquet, some rows in memory at a time.

    Args:
        keys: of the rows.
        vectors: rows x width.
        path: local file.
    """
    width = vectors.shape[1]
    schema = features_schema(width)
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=False, write_statistics=["photo_id"]
    ) as file:
        for begin in range(0, len(keys), _GROUP_ROWS):
            some = keys[begin : begin + _GROUP_ROWS]
            numbers = pa.array(vectors[begin : begin + len(some)].reshape(-1))
            lists = pa.FixedSizeListArray.from_arrays(numbers, type=schema.field("vector").type)
            columns = [pa.array(map(int, some), pa.int64()), pa.array(some), lists]
            file.write_table(pa.table(columns, schema), row_group_size=_GROUP_ROWS)


def _write_vectors(
    path: pathlib.Path, batches: typing.Iterable[tuple[list[str], Vectors]], samples: int, width: int
) -> list[str]:
    """Writes a NumPy file batch by batch; returns the keys of its rows."""
    keys: list[str] = []
    header = {"descr": "<f4", "fortran_order": False, "shape": (samples, width)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for some, vectors in batches:
            keys += some
            file.write(np.ascontiguousarray(vectors, "<f4").data)
    return keys


def _batches(
    commit: CommitRecord, session: "ort.InferenceSession", config: FeaturesConfig
) -> typing.Iterator[tuple[list[str], Vectors]]:
    images = read_images(config.output, commit, (config.extension,))
    while some := list(itertools.islice(images, config.batch_size)):
        pictures = np.stack([_prepared(key, image, commit, config) for key, image in some])
        yield [key for key, _ in some], infer(session, config.fit, pictures)
        count("samples", len(some))


def _prepared(key: str, image: bytes, commit: CommitRecord, config: FeaturesConfig) -> Vectors:
    decoder = DECODERS[config.extension.rpartition(".")[2]]
    try:
        return prepare(open_image(decoder, image), config.preprocessing)
    except DECODER_ERRORS as error:
        member = f"{layout.tar_file(commit.shard)}: {key}.{config.extension}"
        raise changed_file(config.output, member) from error

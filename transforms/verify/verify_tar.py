"""Checks one tar: its structure, and each sample against its row of the sidecar. One pass."""

import itertools
import typing

import numpy as np
import pyarrow as pa

from schemas import layout
from schemas.records import CommitRecord
from schemas.sample_members import AddedMembers, extensions_of
from schemas.samples import image_extensions, image_placement
from transforms.datasets.remedies import REDO_SHARD
from transforms.files.file_digest import DigestingReader
from transforms.geometry.affine import apply
from transforms.images.decode_image import DECODER_ERRORS, DECODERS, open_image
from transforms.shards.added_members import added_members
from transforms.shards.tar_shard import Member, PlacedSample, TarDamageError, TarMember, dali_index, read_tar
from transforms.shards.write_shard import sample_members
from transforms.stores.dataset_files import DatasetFiles, Fault, digest_problem, read_checked, unreadable

MAX_NAMED_SAMPLES = 5
"""A shard in which every sample is wrong does not give 10,000 faults."""

_ROWS_AT_A_TIME = 500
_NAMES = {"json": "JSON", "txt": "text"}

Row = dict[str, typing.Any]

ReadSamples = tuple[list[PlacedSample] | None, list[str]]
"""The samples of a tar, None if it is damaged, and what is wrong with them."""


def verify_tar(
    dataset: DatasetFiles,
    commit: CommitRecord,
    sidecar: pa.Table | None,
    sizes: typing.Sequence[int] | None,
    faults: list[Fault],
) -> list[PlacedSample] | None:
    """Reads a tar once and checks it.

    Args:
        dataset: where it lies.
        commit: says what it should be.
        sidecar: its rows; None if they are damaged: then they are not compared.
        sizes: every ``--image_size``, the first one first; None if no record says them.
        faults: what is found is added here.

    Returns:
        Where all its members lie; None if that could not be found out.
    """
    name = layout.tar_file(commit.shard)
    added = commit.added

    def read_samples(file: DigestingReader) -> ReadSamples:
        return _read_samples(file, sidecar, sizes, added)

    return check_tar(dataset, name, commit, commit.samples, read_samples, faults)


def check_tar(
    dataset: DatasetFiles,
    name: str,
    commit: CommitRecord,
    stated: int,
    read_samples: typing.Callable[[DigestingReader], ReadSamples],
    faults: list[Fault],
) -> list[PlacedSample] | None:
    """Reads a tar once, and checks its bytes and how many samples it has.

    Args:
        dataset: where it lies.
        name: of it.
        commit: has its digest.
        stated: samples that it should have.
        read_samples: reads and checks them.
        faults: what is found is added here.

    Returns:
        Where all its members lie; None if that could not be found out.
    """
    try:
        with dataset.open(name) as file:
            reader = DigestingReader(file)
            samples, problems = read_samples(reader)
            changed = digest_problem(reader.finish(), commit.files[name])
    except OSError as error:
        faults.append(Fault(name, unreadable(error), REDO_SHARD))
        return None
    if samples is not None and len(samples) != stated:
        problems.append(f"it has {len(samples):,} samples, the commit record says {stated:,}")
    if len(problems) > MAX_NAMED_SAMPLES:
        problems[MAX_NAMED_SAMPLES:] = [f"and {len(problems) - MAX_NAMED_SAMPLES:,} more such samples"]
    faults += [Fault(name, problem, REDO_SHARD) for problem in ([changed] if changed else []) + problems]
    return None if changed else samples


def check_idx(
    dataset: DatasetFiles, name: str, commit: CommitRecord, samples: list[PlacedSample] | None, faults: list[Fault]
) -> None:
    """Checks the DALI index ``name`` against the places found in the tar; they are None if it is damaged."""
    data = read_checked(dataset, name, commit.files[name], REDO_SHARD, faults)
    if data is not None and samples is not None and data != dali_index(samples):
        faults.append(Fault(name, "it is not the index of the tar beside it", REDO_SHARD))


def _read_samples(
    reader: DigestingReader, sidecar: pa.Table | None, sizes: typing.Sequence[int] | None, added: AddedMembers | None
) -> ReadSamples:
    """Returns the samples and what is wrong with them; None for samples if the tar is damaged."""
    placed: list[PlacedSample] = []
    problems: list[str] = []
    rows = iter(()) if sidecar is None else _rows(sidecar)
    extensions: list[str] = []
    try:
        for members in _samples(read_tar(typing.cast(typing.BinaryIO, reader)), len(extensions_of(added))):
            extensions = extensions or [*_extensions(members, sizes), *extensions_of(added)]
            placed.append(_placed(members, extensions, placed))
            row, images = next(rows, None), members[: -2 - len(extensions_of(added))]
            problem = _images_problem(images, row) or (row and _row_problem(placed[-1], members, row, added))
            if problem:
                problems.append(f"sample {placed[-1].key}: {problem}")
    except TarDamageError as error:
        return None, [*problems, str(error)]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return None, [*problems, f"its rows in the sidecar cannot be read: {error}"]
    return placed, problems


def _rows(sidecar: pa.Table) -> typing.Iterator[Row]:
    for batch in sidecar.to_batches(_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def _samples(members: typing.Iterator[TarMember], added: int) -> typing.Iterator[list[TarMember]]:
    """Yields the members of each sample: as many as the first has, which ends so many members after its text."""
    sample: list[TarMember] = []
    for member in members:
        is_last = _extension(member) in ("txt", *map(_extension, sample))
        sample.append(member)
        if is_last:
            break
    sample += itertools.islice(members, added)
    size = len(sample)
    while sample:
        if len(sample) < size:
            raise TarDamageError(f"it ends within the sample of {sample[0].name}")
        yield sample
        sample = list(itertools.islice(members, size))


def _extensions(first: list[TarMember], sizes: typing.Sequence[int] | None) -> list[str]:
    """Returns the extensions of every sample's members up to its text: those of the sizes, else those of the first."""
    image = _extension(first[0])
    if sizes:
        return [*image_extensions(image, sizes[1:]), "json", "txt"]
    return [*(e for e in map(_extension, first) if e.rpartition(".")[2] == image), "json", "txt"]


def _placed(
    members: list[TarMember], extensions: typing.Sequence[str], before: typing.Sequence[PlacedSample]
) -> PlacedSample:
    """Returns a sample's place.

    Raises:
        TarDamageError: its members do not have these extensions, or its key does not follow the last one.
    """
    names, key = ", ".join(m.name for m in members), _key(members[0])
    if [_extension(m) for m in members] != extensions or extensions[0] not in DECODERS:
        raise TarDamageError(f"the members {names} are not an image, its JSON and its text: {' '.join(extensions)}")
    if any(_key(m) != key for m in members):
        raise TarDamageError(f"the members {names} are not of one sample")
    if not key.isdigit() or (before and before[-1].key >= key):
        raise TarDamageError(f"the sample {key} is out of KEY order")
    return PlacedSample(key, tuple(Member(_extension(m), m.offset, len(m.data)) for m in members))


def _key(member: TarMember) -> str:
    return member.name.partition(".")[0]


def _extension(member: TarMember) -> str:
    return member.name.partition(".")[2]


def _row_problem(sample: PlacedSample, members: list[TarMember], row: Row, added: AddedMembers | None) -> str | None:
    """Compares a sample with its row of the sidecar."""
    if row["key"] != sample.key:
        return f"the sidecar has {row['key']} in its place"
    beside = [*sample_members(row), *added_members(added, row)]
    for image in sample.members[: -len(beside)]:
        offset, size = (column.name for column in image_placement(_further_size(image.extension)))
        if (row[offset], row[size]) != image[1:]:
            return f"the sidecar's {offset} and {size} do not point to its image"
    for member, (extension, data) in zip(members[-len(beside) :], beside, strict=True):
        if member.data != data:
            return f"its {_NAMES.get(extension, extension)} is not that of the sidecar's row"
    return None


def _further_size(extension: str) -> int | None:
    size = extension.rpartition(".")[0]
    return int(size) if size else None


def _images_problem(images: list[TarMember], row: Row | None) -> str | None:
    """Decodes the images of a sample; says what is wrong with the first that is wrong."""
    for image in images:
        try:
            with open_image(DECODERS[image.name.rpartition(".")[2]], image.data) as opened:
                opened.load()
        except DECODER_ERRORS as error:
            return f"its image {image.name} does not decode: {error}"
        problem = row and _size_problem(opened.size, _further_size(_extension(image)), row)
        if problem:
            return f"its image {image.name} has {opened.width} x {opened.height} px, {problem}"
    return None


def _size_problem(size: tuple[int, int], further_size: int | None, row: Row) -> str | None:
    """Compares the size of an image with the sidecar: that of a further one with its affine, as it stands centred."""
    if further_size is None:
        stated = row["width"], row["height"]
        return None if size == stated else f"the sidecar says {stated[0]} x {stated[1]}"
    matrix = next((t["matrix"] for t in row["transforms"] if t["size"] == further_size), None)
    if matrix is None:
        return f"but the sidecar's transforms have none of size {further_size}"
    corners = apply(matrix, [(0, 0), (row["original_width"], row["original_height"])])
    margins = np.abs(corners.sum(axis=0) - size)
    return None if margins.max() < 1.5 else "the sidecar's transforms place the photo elsewhere"

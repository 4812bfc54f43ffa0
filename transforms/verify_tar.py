"""Checks one tar: its structure, and each sample against its row of the sidecar. One pass."""

import typing

import pyarrow as pa

from schemas import layout
from schemas.records import CommitRecord
from transforms.dataset_files import DatasetFiles, Fault, digest_problem, unreadable
from transforms.decode_image import DECODER_ERRORS, open_image
from transforms.file_digest import DigestingReader
from transforms.tar_shard import Member, PlacedSample, TarDamageError, TarMember, read_tar
from transforms.write_shard import sample_members

MAX_NAMED_SAMPLES = 5
"""A shard in which every sample is wrong does not give 10,000 faults."""

_ROWS_AT_A_TIME = 500
_DECODERS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}

Triple = tuple[TarMember, TarMember, TarMember]
Row = dict[str, typing.Any]


def verify_tar(
    dataset: DatasetFiles, commit: CommitRecord, sidecar: pa.Table | None, remedy: str, faults: list[Fault]
) -> list[PlacedSample] | None:
    """Reads a tar once and checks it.

    Args:
        dataset: where it lies.
        commit: says what it should be.
        sidecar: its rows; None if they are damaged: then they are not compared.
        remedy: for every fault.
        faults: what is found is added here.

    Returns:
        Where all its members lie; None if that could not be found out.
    """
    name = layout.tar_file(commit.shard)
    try:
        with dataset.open(name) as file:
            reader = DigestingReader(file, with_md5=True)
            samples, problems = _read_samples(reader, sidecar)
            changed = digest_problem(reader.finish(), commit.files[name])
            md5 = reader.md5()
    except OSError as error:
        faults.append(Fault(name, unreadable(error), remedy))
        return None
    if not changed and md5 != commit.tar_md5:
        problems.append(f"its MD5 is {md5}, the commit record, and so the shard index, says {commit.tar_md5}")
    if samples is not None and len(samples) != commit.samples:
        problems.append(f"it has {len(samples):,} samples, the commit record says {commit.samples:,}")
    if len(problems) > MAX_NAMED_SAMPLES:
        problems[MAX_NAMED_SAMPLES:] = [f"and {len(problems) - MAX_NAMED_SAMPLES:,} more such samples"]
    faults += [Fault(name, problem, remedy) for problem in ([changed] if changed else []) + problems]
    return None if changed else samples


def _read_samples(reader: DigestingReader, sidecar: pa.Table | None) -> tuple[list[PlacedSample] | None, list[str]]:
    """Returns the samples and what is wrong with them; None for samples if the tar is damaged."""
    placed: list[PlacedSample] = []
    problems: list[str] = []
    rows = iter(()) if sidecar is None else _rows(sidecar)
    try:
        for triple in _triples(read_tar(typing.cast(typing.BinaryIO, reader))):
            placed.append(_placed(triple, placed))
            row = next(rows, None)
            problem = _image_problem(triple[0], row) or (row and _row_problem(placed[-1], triple, row))
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


def _triples(members: typing.Iterator[TarMember]) -> typing.Iterator[Triple]:
    for image in members:
        json, txt = next(members, None), next(members, None)
        if json is None or txt is None:
            raise TarDamageError(f"it ends within the sample of {image.name}")
        yield image, json, txt


def _placed(triple: Triple, before: typing.Sequence[PlacedSample]) -> PlacedSample:
    """Returns a sample's place.

    Raises:
        TarDamageError: its members are not ``KEY.jpg KEY.json KEY.txt``, or its key does not follow the last one.
    """
    names = [member.name.partition(".") for member in triple]
    key, extensions = names[0][0], [extension for _, _, extension in names]
    image_extension = before[0].members[0].extension if before else extensions[0]
    if extensions != [image_extension, "json", "txt"] or image_extension not in _DECODERS:
        raise TarDamageError(f"the members {', '.join(m.name for m in triple)} are not an image, its JSON and its text")
    if {name for name, _, _ in names} != {key}:
        raise TarDamageError(f"the members {', '.join(m.name for m in triple)} are not of one sample")
    if not key.isdigit() or (before and before[-1].key >= key):
        raise TarDamageError(f"the sample {key} is out of KEY order")
    return PlacedSample(key, tuple(Member(e, m.offset, len(m.data)) for e, m in zip(extensions, triple, strict=True)))


def _row_problem(sample: PlacedSample, triple: Triple, row: Row) -> str | None:
    """Compares a sample with its row of the sidecar."""
    if row["key"] != sample.key:
        return f"the sidecar has {row['key']} in its place"
    if (row["image_offset"], row["image_bytes"]) != sample.members[0][1:]:
        return "the sidecar's image_offset and image_bytes do not point to its image"
    (_, json), (_, txt) = sample_members(row)
    if triple[1].data != json:
        return "its JSON is not that of the sidecar's row"
    if triple[2].data != txt:
        return "its text is not the caption of the sidecar's row"
    return None


def _image_problem(image: TarMember, row: Row | None) -> str | None:
    """Decodes an image; says what is wrong with it."""
    decoder = _DECODERS[image.name.partition(".")[2]]
    try:
        with open_image(decoder, image.data) as opened:
            opened.load()
            size = opened.size
    except DECODER_ERRORS as error:
        return f"its image does not decode: {error}"
    if row and size != (row["width"], row["height"]):
        return f"its image has {size[0]} x {size[1]} px, the sidecar says {row['width']} x {row['height']}"
    return None

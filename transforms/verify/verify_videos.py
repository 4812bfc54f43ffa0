"""Checks the tar of a shard's videos: its structure, and each video against its row of the sidecar. One pass."""

import hashlib
import itertools
import typing

import pyarrow as pa

from schemas import layout
from schemas.records import CommitRecord
from schemas.videos import EXTENSION
from transforms.files.file_digest import DigestingReader
from transforms.shards.tar_shard import Member, PlacedSample, TarDamageError, TarEntry, tar_entries
from transforms.shards.write_videos import video_members
from transforms.stores.dataset_files import DatasetFiles, Fault
from transforms.verify.verify_tar import ReadSamples, check_tar

_EXTENSIONS = (EXTENSION, "json", "txt")


class _Member(typing.NamedTuple):
    """A member as read back; its data is None where it is a video."""

    name: str
    place: Member
    sha256: str
    data: bytes | None


def verify_video_tar(
    dataset: DatasetFiles, commit: CommitRecord, sidecar: pa.Table | None, faults: list[Fault]
) -> list[PlacedSample] | None:
    """Reads the tar of the videos once and checks it; no video is whole in memory.

    Args:
        dataset: where it lies.
        commit: says what it should be; it has videos.
        sidecar: its rows; None if they are damaged: then they are not compared.
        faults: what is found is added here.

    Returns:
        Where all its members lie; None if that could not be found out.
    """
    name = layout.video_tar_file(commit.shard)
    return check_tar(dataset, name, commit, commit.videos, lambda file: _read_videos(file, sidecar), faults)


def _read_videos(reader: DigestingReader, sidecar: pa.Table | None) -> ReadSamples:
    placed, problems = list[PlacedSample](), list[str]()
    rows = iter(() if sidecar is None else sidecar.to_pylist())
    try:
        members = map(_read, tar_entries(typing.cast(typing.BinaryIO, reader)))
        while sample := list(itertools.islice(members, len(_EXTENSIONS))):
            placed.append(_placed(sample, placed))
            row = next(rows, None)
            problem = row and _problem(sample, placed[-1].key, row)
            if problem:
                problems.append(f"video {placed[-1].key}: {problem}")
    except TarDamageError as error:
        return None, [*problems, str(error)]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return None, [*problems, f"its rows in the sidecar cannot be read: {error}"]
    return placed, problems


def _read(entry: TarEntry) -> _Member:
    extension = entry.name.partition(".")[2]
    sha256, chunks = hashlib.sha256(), list[bytes]()
    for chunk in entry.chunks():
        sha256.update(chunk)
        if extension != EXTENSION:
            chunks.append(chunk)
    data = None if extension == EXTENSION else b"".join(chunks)
    return _Member(entry.name, Member(extension, entry.offset, entry.size), sha256.hexdigest(), data)


def _placed(members: list[_Member], before: typing.Sequence[PlacedSample]) -> PlacedSample:
    """Returns a sample's place; raises TarDamageError if its members or its key are not what should come."""
    names, key = ", ".join(m.name for m in members), members[0].name.partition(".")[0]
    if [m.name for m in members] != [f"{key}.{extension}" for extension in _EXTENSIONS]:
        raise TarDamageError(f"the members {names} are not a video, its JSON and its text: {' '.join(_EXTENSIONS)}")
    if not key.isdigit() or (before and before[-1].key >= key):
        raise TarDamageError(f"the video {key} is out of KEY order")
    return PlacedSample(key, tuple(m.place for m in members))


def _problem(members: list[_Member], key: str, row: dict[str, typing.Any]) -> str | None:
    """Compares a video with its row of the sidecar."""
    video, json, txt = members
    (_, expected_json), (_, expected_txt) = video_members(row)
    if row["key"] != key:
        return f"the sidecar has {row['key']} in its place"
    if (row["video_offset"], row["video_bytes"]) != video.place[1:]:
        return "the sidecar's video_offset and video_bytes do not point to it"
    if row["sha256"] != video.sha256:
        return "its SHA-256 is not that of the sidecar's row"
    if json.data != expected_json:
        return "its JSON is not that of the sidecar's row"
    return "its text is not the caption of the sidecar's row" if txt.data != expected_txt else None

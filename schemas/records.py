"""The JSON records of a dataset: its plan, one commit per shard, and the manifest.

Each is written whole and never edited. Its ``checksum`` is the SHA-256 of the same JSON without
that key, so that a record that was damaged or edited by hand is told from a good one.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import types
import typing

from schemas.layout import FORMAT_VERSION, shard_name
from schemas.sample_members import AddedMembers

_CHECKSUM = "checksum"
_OMITTED_IF_NONE: typing.Final = {"omitted_if_none": True}
"""Marks what is left out where it is 0 or empty: records without videos are as if nobody knew of any."""

_OLDER_REMEDY = "use the version that wrote it, or build anew: into another --output, or with --overwrite"

R = typing.TypeVar("R", bound="Record")


class OtherFormatError(ValueError):
    """A record is of another format version than the one that is read here.

    Attributes:
        problem: which, without the name of the file.
        remedy: what to do about it.
    """

    def __init__(self, file_name: str, version: int):
        whose, self.remedy = ("a newer", "upgrade") if version > FORMAT_VERSION else ("an older", _OLDER_REMEDY)
        self.problem = f"was written by {whose} photobeam (format {version}, this one knows {FORMAT_VERSION})"
        super().__init__(f"{file_name} {self.problem}: {self.remedy}")


@dataclasses.dataclass(frozen=True)
class Record:
    """What the three kinds of records have in common."""

    def to_json(self) -> bytes:
        """Encodes the record: sorted keys, ASCII, a final newline; equal records give equal bytes."""
        body = _body(self)
        return _json_bytes({**body, _CHECKSUM: _sha256(_json_bytes(body))})

    @classmethod
    def from_json(cls: type[R], data: bytes, file_name: str) -> R:
        """Decodes a record.

        Args:
            data: what :meth:`to_json` gave.
            file_name: named by the errors.

        Raises:
            OtherFormatError: the record is of a newer or an older format.
            ValueError: it is damaged.
        """
        body = _checked_body(data, file_name)
        return _decode(cls, body, file_name)


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """Size in bytes and SHA-256 (hex) of one file."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class CommitRecord(Record):
    """Says that all files of a shard are in place.

    Attributes:
        shard: its number.
        rows: photos and videos of the shard; samples + videos + failed.
        samples: photos in the tar.
        failed: photos and videos in the failures.
        failures_by_reason: how many of the failed have which reason.
        rows_digest: of what the shard was made from, see :func:`rows_digest`.
        files: each file of the shard by its name in the dataset, the rows among them.
        videos: in the tar of videos; left out where it is 0.
        failed_videos: of the failed those that are videos, but not for the reason ``is_video``; left out where it is 0.
        added: members of each sample behind its images, JSON and text; left out without any.
    """

    shard: int
    rows: int
    samples: int
    failed: int
    failures_by_reason: dict[str, int]
    rows_digest: str
    files: dict[str, FileDigest]
    videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)
    failed_videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)
    added: AddedMembers | None = dataclasses.field(default=None, metadata=_OMITTED_IF_NONE)
    format_version: int = FORMAT_VERSION


@dataclasses.dataclass(frozen=True)
class Intent(Record):
    """Says what the files of a committed shard are about to be replaced with; all of it is staged.

    Attributes:
        files: those to be moved from :func:`schemas.layout.staged_file` to their names.
        removed: files that the shard no longer has.
        commit: the new commit record, which comes last.
    """

    files: dict[str, FileDigest]
    removed: list[str]
    commit: CommitRecord
    format_version: int = FORMAT_VERSION


@dataclasses.dataclass(frozen=True)
class ManifestShard:
    """One shard in the manifest.

    Attributes:
        name: six digits.
        samples: photos in the tar.
        failed: photos and videos in the failures.
        bytes: size of all its files.
        sha256: of each file, by its name in the dataset.
        rows_digest: of what the shard was made from.
        videos: in the tar of videos; left out where it is 0.
        failed_videos: as in the commit record.
        added: as in the commit record.
    """

    name: str
    samples: int
    failed: int
    bytes: int
    sha256: dict[str, str]
    rows_digest: str
    videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)
    failed_videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)
    added: AddedMembers | None = dataclasses.field(default=None, metadata=_OMITTED_IF_NONE)


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over all shards; ``bytes`` is the size of their files. Counts of videos are left out where they are 0."""

    rows: int
    samples: int
    failed: int
    bytes: int
    failures_by_reason: dict[str, int]
    videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)
    failed_videos: int = dataclasses.field(default=0, metadata=_OMITTED_IF_NONE)


@dataclasses.dataclass(frozen=True)
class Tombstone:
    """A photo that was taken down and must not come back, and the day (UTC, ISO 8601) when that was."""

    photo_id: int
    date: str


@dataclasses.dataclass(frozen=True)
class Manifest(Record):
    """The truth about a finished dataset; written last.

    Attributes:
        configuration: the same as the plan's.
        software: versions by name.
        counts: the input accounting, the same as the plan's.
        shards: one entry per shard, in order.
        files: files that belong to no shard and are checked too: the shard indexes, the input failures.
        totals: sums over the shards.
        root_hash: of all data files, see :func:`root_hash`.
        run: what differs between runs of the same build: run id, times, host.
        tombstones: the same as the plan's, should that be lost; left out where there are none.
    """

    configuration: dict[str, typing.Any]
    software: dict[str, str]
    counts: dict[str, int]
    shards: list[ManifestShard]
    files: dict[str, FileDigest]
    totals: Totals
    root_hash: str
    run: dict[str, typing.Any]
    tombstones: list[Tombstone] = dataclasses.field(default_factory=list, metadata=_OMITTED_IF_NONE)
    format_version: int = FORMAT_VERSION


@dataclasses.dataclass(frozen=True)
class PlanInput:
    """One input file: where, what kind of file, its size in bytes, and its mtime or ETag."""

    url: str
    kind: str
    size: int
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class PlanRows:
    """The finished rows of one shard; ``digest`` is the SHA-256 of the rows file."""

    shard: int
    rows: int
    digest: str


@dataclasses.dataclass(frozen=True)
class Plan(Record):
    """What an output is made from; written first, and again when the rows are complete.

    Attributes:
        selection: flags that decide which rows there are.
        format: flags that decide how a row becomes a sample; each ``rows_digest`` is taken over them.
        inputs: the input files.
        shards: number of shards; None until the rows are counted.
        tombstones: photos that were taken down, sorted by id.
        counts: the input accounting: ``input_lines`` = ``rows`` + ``removed_by_filters`` +
            ``collapsed_lines`` + ``input_failures``; other keys are free. ``taken_down`` (photos removed, and counted
            among those removed by filters) + ``taken_down_unknown`` = tombstones, once all of them are carried out.
        rows: the rows file of each shard, in order; None until all are written.
        configuration: the flags of the last build, join or derivation that had something to do, but for a join on a
            dataset with images. Left out where nobody knows them.
    """

    selection: dict[str, typing.Any]
    format: dict[str, typing.Any]
    inputs: list[PlanInput]
    shards: int | None = None
    tombstones: list[Tombstone] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    rows: list[PlanRows] | None = None
    configuration: dict[str, typing.Any] = dataclasses.field(default_factory=dict, metadata=_OMITTED_IF_NONE)
    format_version: int = FORMAT_VERSION


def rows_digest(rows_file_sha256: str, image_options: typing.Mapping[str, typing.Any]) -> str:
    """Returns the digest that decides whether a committed shard is still valid.

    Args:
        rows_file_sha256: of the shard's rows file, hex.
        image_options: what decides how a row becomes a sample: the ``format`` of the plan.

    Returns:
        SHA-256 in hex.
    """
    return _sha256(rows_file_sha256.encode() + _json_bytes(image_options))


def root_hash(sha256_by_file: typing.Mapping[str, str]) -> str:
    """Returns one hash for all data files: SHA-256 over lines ``sha256  name``, sorted by name.

    Args:
        sha256_by_file: of every file of ``rows/``, ``shards/`` and ``videos/`` and of the failures of each shard, by
            name; not the input failures, which depend on how the inputs are cut into files.
    """
    return _sha256("".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sha256_by_file.items())).encode())


def manifest_shard(commit: CommitRecord) -> ManifestShard:
    """Returns the manifest's entry of a committed shard."""
    return ManifestShard(
        name=shard_name(commit.shard),
        samples=commit.samples,
        failed=commit.failed,
        bytes=sum(f.bytes for f in commit.files.values()),
        sha256={name: f.sha256 for name, f in commit.files.items()},
        rows_digest=commit.rows_digest,
        videos=commit.videos,
        failed_videos=commit.failed_videos,
        added=commit.added,
    )


def totals_of(commits: typing.Sequence[CommitRecord]) -> Totals:
    """Sums commits up."""
    reasons: collections.Counter[str] = collections.Counter()
    for commit in commits:
        reasons.update(commit.failures_by_reason)
    return Totals(
        rows=sum(c.rows for c in commits),
        samples=sum(c.samples for c in commits),
        failed=sum(c.failed for c in commits),
        bytes=sum(f.bytes for c in commits for f in c.files.values()),
        failures_by_reason=dict(reasons),
        videos=sum(c.videos for c in commits),
        failed_videos=sum(c.failed_videos for c in commits),
    )


def root_hash_of(commits: typing.Iterable[CommitRecord], indexes: typing.Mapping[str, FileDigest]) -> str:
    """Returns the root hash of committed shards and of the shard indexes, by name."""
    files = {name: digest.sha256 for commit in commits for name, digest in commit.files.items()}
    return root_hash(files | {name: digest.sha256 for name, digest in indexes.items()})


def members_problem(commits: typing.Iterable[CommitRecord]) -> str | None:
    """Says how many shards have not the added members that most have: those that were built again have none."""
    of_shards = [commit.added for commit in commits if commit.samples]
    found = collections.Counter(str(added) for added in of_shards if added)
    if not found:
        return None
    [(_, most)] = found.most_common(1)
    if most == len(of_shards):
        return None
    names = ", ".join(sorted({name for added in of_shards if added for name in added.sizes}))
    return f"the samples of {len(of_shards) - most:,} of them have not the same members {names} as the others"


def _json_bytes(value: typing.Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, default=_body).encode() + b"\n"


def _body(record: typing.Any) -> dict[str, typing.Any]:
    """Returns what a record says, nested ones as they are."""
    values = vars(record)
    omitted = _omitted_if_none(typing.cast(typing.Hashable, type(record)))
    return {name: value for name, value in values.items() if value or name not in omitted}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked_body(data: bytes, file_name: str) -> dict[str, typing.Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file_name} is damaged: it is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise ValueError(f"{file_name} is damaged: it is not a JSON object")
    version = body.get("format_version")
    if type(version) is int and version != FORMAT_VERSION:
        raise OtherFormatError(file_name, version)
    rest = {name: value for name, value in body.items() if name != _CHECKSUM}
    if data != _json_bytes({**rest, _CHECKSUM: _sha256(_json_bytes(rest))}):
        raise ValueError(f"{file_name} is damaged: its checksum does not fit what it says")
    return rest


@functools.cache
def _field_types(record: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(record)


@functools.cache
def _omitted_if_none(record: typing.Any) -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(record) if f.metadata == _OMITTED_IF_NONE)


def _decode(type_: typing.Any, value: typing.Any, where: str) -> typing.Any:
    """Builds a value of a record's field type; every error names ``where``."""
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if type_ is typing.Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _decode(arguments[0], value, where)
    if type(value) is not (dict if dataclasses.is_dataclass(type_) else origin or type_):
        raise ValueError(f"{where} is damaged: it holds {str(value)[:40]!r}")
    if origin is list:
        return [_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        return {name: _decode(arguments[1], item, f"{where}: {name}") for name, item in value.items()}
    if not dataclasses.is_dataclass(type_):
        return value
    fields = _field_types(typing.cast(type, type_))
    wrong = (fields.keys() ^ value.keys()) - _omitted_if_none(typing.cast(typing.Hashable, type_))
    if wrong:
        raise ValueError(f"{where} is damaged: wrong or missing keys {sorted(wrong)}")
    return typing.cast(typing.Any, type_)(**{n: _decode(fields[n], v, f"{where}: {n}") for n, v in value.items()})

"""Which files `--yfcc` names, and which pack each one is."""

import collections
import itertools
import re
import typing

import fsspec

from schemas.yfcc import DATASET_FIELDS, MAX_LINE_BYTES, Pack, recognise
from transforms.line_ranges import is_bz2, open_reader, read_line_blocks

BZ2_EXPANSION = 5
"""Decoded bytes per byte of bz2, for estimates: text of this kind gives 4 to 5."""

BUCKET_BYTES = 64 << 20
"""Decoded input per bucket: about as much memory again for its Arrow form, per thread."""

_MAX_BUCKET_BITS = 12
_ENOUGH_VOTES = 100
_ENOUGH_LINES = 100_000
_HEAD_BYTES = 1 << 20
_OTHER_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


class InputError(ValueError):
    """`--yfcc` names something that cannot be read; the message names it and the remedy."""


class InputFile(typing.NamedTuple):
    """One file to read.

    Attributes:
        url: absolute path or URL.
        pack: what it holds.
        fields: number of fields of its lines.
        size: bytes.
        compressed: whether it is bz2.
        fingerprint: what changes when the file changes: modification time or ETag.
    """

    url: str
    pack: Pack
    fields: int
    size: int
    compressed: bool
    fingerprint: str


class FoundInputs(typing.NamedTuple):
    """The files of `--yfcc`.

    Attributes:
        files: recognised ones, sorted by pack and URL.
        left_out: files of directories and globs that are no pack.
    """

    files: list[InputFile]
    left_out: list[str]


def find_inputs(specs: typing.Iterable[str]) -> FoundInputs:
    """Finds and recognises the packs.

    Args:
        specs: files, directories, globs or fsspec URLs; ``PACK=PATH`` states the pack.

    Raises:
        InputError: a name leads nowhere, a file is empty, unreadable or of no known kind, or there
            is no dataset among them.
    """
    files: dict[str, InputFile] = {}
    left_out: list[str] = []
    for spec in specs:
        pack, path = _stated_pack(spec)
        for url, named in _expand(path):
            found = _recognise_file(url, pack, named)
            if found:
                files[url] = found
            else:
                left_out.append(url)
    if not any(f.pack is Pack.DATASET for f in files.values()):
        raise InputError(
            "--yfcc: no yfcc100m_dataset among the files"
            + (f" (not recognised: {', '.join(left_out)})" if left_out else "")
            + "; the other packs name no photos of their own"
        )
    return FoundInputs(sorted(files.values(), key=lambda f: (f.pack.value, f.url)), sorted(set(left_out)))


def decoded_bytes(files: typing.Iterable[InputFile]) -> int:
    """Estimates the size of all input after decompression."""
    return sum(f.size * (BZ2_EXPANSION if f.compressed else 1) for f in files)


def bucket_bits(files: typing.Iterable[InputFile]) -> int:
    """Returns log2 of the number of buckets, so that each fits into memory."""
    return min(_MAX_BUCKET_BITS, max(0, (decoded_bytes(files) - 1) // BUCKET_BYTES).bit_length())


def _stated_pack(spec: str) -> tuple[Pack | None, str]:
    name, separator, path = spec.partition("=")
    return (Pack(name), path) if separator and name in {p.value for p in Pack} else (None, spec)


def _expand(path: str) -> list[tuple[str, bool]]:
    """Lists the files of a path, and whether each was named itself."""
    try:
        fs, root = fsspec.url_to_fs(path)
        if fs.isdir(root):
            found, named = fs.find(root), False
        elif fs.exists(root):
            found, named = [root], True
        else:
            found, named = fs.glob(root) if any(c in root for c in "*?[") else [], False
    except Exception as error:  # noqa: BLE001  each file system raises errors of its own library
        raise InputError(f"--yfcc {path}: {error}") from error
    if named and not fs.isfile(root):
        raise InputError(f"--yfcc {path}: is no regular file; packs are read in parts, so save it as a file first")
    files = [f for f in found if named or (fs.isfile(f) and f.rsplit("/", 1)[-1][0] not in "._")]
    if not files:
        raise InputError(f"--yfcc {path}: there is no such file; check the path")
    return [(f if "file" in _protocols(fs) else fs.unstrip_protocol(f), named) for f in files]


def _protocols(fs: typing.Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _recognise_file(url: str, pack: Pack | None, named: bool) -> InputFile | None:
    try:
        with open_reader(url) as (read_at, size):
            if size == 0:
                raise InputError(f"--yfcc {url}: the file is empty; remove it or download it again")
            head = read_at(0, 16)
            compressed = is_bz2(head)
            seen = collections.Counter() if _other_compression(head) else _votes(read_at, size, compressed, url)
    except OSError as error:
        raise InputError(f"--yfcc {url}: cannot be read ({error.strerror or error})") from error
    kind = _kind(url, seen, pack)
    if kind:
        return InputFile(url, *kind, size, compressed, _fingerprint(url))
    if not named and pack is None:
        return None
    if other := _other_compression(head):
        raise InputError(f"--yfcc {url}: is {other}-compressed; packs are read as bz2 or plain: decompress it first")
    raise InputError(
        f"--yfcc {url}: no line looks like {'the ' + pack.value + ' pack' if pack else 'a YFCC pack'}; check the file"
        + ("" if pack else f", or state what it is: --yfcc {Pack.AUTOTAGS.value}={url}")
    )


def _other_compression(head: bytes) -> str | None:
    return next((name for magic, name in _OTHER_COMPRESSIONS.items() if head.startswith(magic)), None)


Votes = collections.Counter[tuple[Pack, int] | None]


def _votes(read_at: typing.Any, size: int, compressed: bool, url: str) -> Votes:
    """Counts what the first lines with a payload look like; None stands for a line `id TAB`."""
    limits = {"max_block_bytes": _HEAD_BYTES, "max_line_bytes": MAX_LINE_BYTES}
    blocks = read_line_blocks(read_at, size, 0, size, compressed=compressed, name=url, **limits)
    votes: Votes = collections.Counter()
    lines = (line.rstrip(b"\r") for block in blocks for line in block.data.split(b"\n")[:-1])
    for line in itertools.islice(lines, _ENOUGH_LINES):
        if kind := recognise(line):
            votes[kind] += 1
        elif re.fullmatch(rb"\d{1,18}\t?", line):
            votes[None] += 1
        if votes.total() - votes[None] >= _ENOUGH_VOTES:
            break
    return votes


def _kind(url: str, votes: Votes, stated: Pack | None) -> tuple[Pack, int] | None:
    ranked = [kind for kind, _ in votes.most_common() if kind is not None]
    if stated:
        fields = next((n for p, n in ranked if p is stated), DATASET_FIELDS if stated is Pack.DATASET else 2)
        return (stated, fields) if any(p is stated for p, _ in ranked) or (fields == 2 and votes[None]) else None
    if ranked:
        return ranked[0]
    name = url.rsplit("/", 1)[-1].lower()
    named = next((p for p in Pack if p.value in name and p is not Pack.DATASET), None)
    return (named, 2) if named and votes[None] else None


def _fingerprint(url: str) -> str:
    fs, path = fsspec.url_to_fs(url)
    info = fs.info(path)
    return str(next((info[k] for k in ("ETag", "etag", "mtime", "LastModified") if info.get(k)), ""))

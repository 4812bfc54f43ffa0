"""Recognises the packs of YFCC100M by their lines."""

import collections
import itertools
import re
import typing

from schemas.sources import Source
from schemas.yfcc import DATASET_FIELDS, MAX_LINE_BYTES, Pack, recognise
from transforms.sources.input_files import InputError, InputFile, fingerprint
from transforms.sources.line_ranges import is_bz2, open_reader, read_line_blocks

_ENOUGH_VOTES = 100
_ENOUGH_LINES = 100_000
_HEAD_BYTES = 1 << 20
_OTHER_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}

Votes = collections.Counter[tuple[Pack, int] | None]


def stated_pack(spec: str) -> tuple[Pack | None, str]:
    """Splits ``PACK=PATH``; the pack is None where none is stated."""
    name, separator, path = spec.partition("=")
    return (Pack(name), path) if separator and name in {p.value for p in Pack} else (None, spec)


def find_yfcc(url: str, pack: Pack | None, named: bool) -> InputFile | None:
    """Recognises one file.

    Args:
        url: of the file.
        pack: what it is stated to be.
        named: whether it was named itself; one of a directory may be something else.

    Returns:
        None if it is one of a directory, and no pack.

    Raises:
        InputError: it is empty, unreadable, or named and no pack.
    """
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
        return InputFile(url, Source.YFCC, kind[0].value, kind[1], size, compressed, fingerprint(url))
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

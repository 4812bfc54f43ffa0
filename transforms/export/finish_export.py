"""Puts the parts of all shards together: the files that they share, and the record of the export."""

import collections
import functools
import pathlib
import typing

from schemas.export_records import EXPORT_RECORD, ExportPart, ExportRecord, part_file, part_record
from schemas.records import FileDigest
from transforms.export.classes import ExportClasses
from transforms.export.export_format import ExportFormat
from transforms.files.file_digest import file_digest
from transforms.files.publish import staged_as
from transforms.stores.output import Output

_SHARDS_AT_ONCE = 500
_BUFFER_BYTES = 1 << 20


def read_parts(output: Output, shards: int) -> dict[int, ExportPart]:
    """Returns what stands of an export: the records of the shards that are done; a damaged one counts as none."""
    found: dict[int, ExportPart] = {}
    for begin in range(0, shards, _SHARDS_AT_ONCE):
        names = {part_record(shard): shard for shard in range(begin, min(begin + _SHARDS_AT_ONCE, shards))}
        for name, data in output.read_present(list(names)).items():
            try:
                found[names[name]] = ExportPart.from_json(data, name)
            except ValueError:
                continue
    return found


def finish_export(
    output: Output,
    folder: pathlib.Path | None,
    format_: ExportFormat,
    begun: ExportRecord,
    classes: ExportClasses,
    parts: typing.Mapping[int, ExportPart],
) -> ExportRecord:
    """Writes the files that shards share, and last the record. Memory holds one shard's lines.

    Args:
        output: of the export.
        folder: local, for files on their way; None for one among this machine's temporary files.
        format_: of it.
        begun: what was asked for.
        classes: of it.
        parts: of every shard.

    Raises:
        OSError: a part is not there, or the output refuses.
    """
    shards_of: dict[str, list[int]] = collections.defaultdict(list)
    counts = collections.Counter(begun.counts)
    for shard, part in sorted(parts.items()):
        counts.update(part.counts)
        for section in part.lines:
            shards_of[section].append(shard)
    sections = {
        section: functools.partial(_lines, output, section, shards_of[section]) for section in sorted(shards_of)
    }
    files = {name: _publish(output, folder, name, text) for name, text in format_.shared_files(sections, classes)}
    record = ExportRecord(begun.format, begun.options, begun.made_from, list(classes.names), dict(counts), files)
    output.write(EXPORT_RECORD, record.to_json())
    return record


def _lines(output: Output, section: str, shards: typing.Sequence[int]) -> typing.Iterator[str]:
    for shard in shards:
        yield from output.read(part_file(shard, section)).decode().removesuffix("\n").split("\n")


def _publish(output: Output, folder: pathlib.Path | None, name: str, text: typing.Iterable[str]) -> FileDigest:
    with staged_as(folder, name.rpartition("/")[2]) as staged:
        with staged.open("w", encoding="utf-8", newline="", buffering=_BUFFER_BYTES) as file:
            file.writelines(text)
        digest = file_digest(staged)
        output.publish(staged, name)
    return digest

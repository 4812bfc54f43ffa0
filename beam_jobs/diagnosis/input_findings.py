"""What a run needs of its inputs: that they are there, recognised, and say whose photos make the dataset."""

import collections
import typing

from beam_jobs.command.counted import counted
from beam_jobs.diagnosis.findings import OK, WARNING, Finding, fault_of
from schemas.sources import Source
from transforms.join.filter_rows import RowSelection
from transforms.join.read_classes import choose_classes
from transforms.sources.fetch_published import PublishedPlaces, fetch_published, files_to_fetch
from transforms.sources.find_inputs import FoundInputs, check_base, find_inputs
from transforms.sources.input_files import InputError, InputFile

NAMES_SHOWN = 3
"""Of files that are left out."""

Sources = typing.Mapping[Source, tuple[str, ...]]


class Inputs:
    """What is found of the inputs, while it is looked for.

    Attributes:
        files: recognised ones.
        is_whole: whether all of the sources could be looked at, so that nothing is to be fetched first.
    """

    def __init__(self) -> None:
        self.files: list[InputFile] = []
        self.is_whole = True

    def look(self, sources: Sources, base: str, published: PublishedPlaces) -> typing.Iterator[Finding]:
        """Finds the files of each source.

        Args:
            sources: paths, and names of published sets.
            base: whose photos make the dataset.
            published: where these sets come from, and where they are kept.
        """
        left_out: list[str] = []
        for source, paths in sources.items():
            check = f"--{source.value}"
            try:
                here, fetched = self._resolved(source, paths, published)
                yield from fetched
                found = find_inputs({source: here} if here else {})
            except (InputError, OSError) as error:
                self.is_whole = False
                yield fault_of(check, error)
                continue
            self.files += found.files
            left_out += found.left_out
            if here:
                yield _found(check, found)
        if self.is_whole:
            yield from _look_at_base(FoundInputs(self.files, left_out), base)

    def _resolved(
        self, source: Source, paths: tuple[str, ...], published: PublishedPlaces
    ) -> tuple[tuple[str, ...], list[Finding]]:
        """Returns what of a source is here, with a finding for each published set that is to be fetched."""
        missing = {name: files for (_, name), files in files_to_fetch({source: paths}, published).items() if files}
        here = tuple(path for path in paths if path not in missing)
        self.is_whole = self.is_whole and not missing
        findings = []
        for name, files in missing.items():
            size_bytes = sum(file.bytes for file in files)
            found = f"{counted(len(files), 'file')} to fetch first, {size_bytes / 1e6:,.0f} MB as far as is known"
            findings.append(Finding(OK, f"--{source.value} {name}", f"{found}, into {published.cache_dir}"))
        return fetch_published({source: here}, published)[source], findings


def look_at_classes(selection: RowSelection, files: typing.Sequence[InputFile]) -> typing.Iterator[Finding]:
    """Says whether the files know the classes that are asked for."""
    try:
        chosen = choose_classes(selection, files)
    except InputError as error:
        yield fault_of("--classes", error)
        return
    yield Finding(OK, "--classes", f"{counted(len(chosen), 'class')} that the inputs know")


def _found(check: str, found: FoundInputs) -> Finding:
    kinds = collections.Counter(file.kind for file in found.files)
    size_bytes = sum(file.size for file in found.files)
    listed = ", ".join(f"{kind} ({counted(count, 'file')})" for kind, count in sorted(kinds.items()))
    text = f"{listed or 'nothing'}; {size_bytes / 1e6:,.1f} MB"
    if not found.left_out:
        return Finding(OK, check, text)
    names = ", ".join(found.left_out[:NAMES_SHOWN])
    return Finding(
        WARNING, check, f"{text}; {counted(len(found.left_out), 'file')} of no known kind: {names}", "check these"
    )


def _look_at_base(found: FoundInputs, base: str) -> typing.Iterator[Finding]:
    try:
        check_base(found, base)
    except InputError as error:
        yield fault_of("--base", error)
        return
    yield Finding(OK, "--base", f"{base} names the photos")

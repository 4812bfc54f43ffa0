"""Whether there is room for the files of a join."""

import typing

from beam_jobs.outputs.run_folder import RunFolder
from transforms.files.publish import check_space
from transforms.sources.find_inputs import FoundInputs, decoded_bytes
from transforms.stores.scratch import LocalScratch

SPOOL_FACTOR: typing.Final = 3
"""Free space asked for, as a multiple of the decoded input: spool, joined buckets and rows stand together."""


def check_spool_space(place: RunFolder, found: FoundInputs) -> None:
    """Checks that there is room for the files of a join, if they are local.

    Raises:
        OutputError: there is not.
    """
    if isinstance(place.scratch, LocalScratch):
        check_space(place.scratch.folder, SPOOL_FACTOR * decoded_bytes(found.files))

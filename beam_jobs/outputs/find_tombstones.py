"""Which photos were taken down, by what is left of the records of a dataset: none may come back unasked."""

import json

from beam_jobs.command.errors import UsageError
from schemas import layout
from schemas.records import Manifest, OtherFormatError, Plan, Tombstone
from schemas.tombstones import lists_all
from transforms.stores.output import Output, read_record


def find_tombstones(output: Output) -> list[Tombstone]:
    """Returns the tombstones of the plan; if that is lost or damaged, those that the manifest lists.

    Raises:
        UsageError: nothing tells which photos were taken down.
    """
    try:
        return read_record(output, layout.PLAN, Plan).tombstones
    except OtherFormatError:
        found = _of_other_format(output)
    except (FileNotFoundError, ValueError):
        found = _of_manifest(output)
    if found is None:
        raise UsageError(
            f"{output}/{layout.PLAN} is lost or damaged, and nothing else tells which photos were taken down: put back "
            f"a copy of it. If none ever were, remove it, {layout.MANIFEST} and rows/, and give the same command "
            "again: it joins the rows again. Else choose another --output, and take them down there"
        )
    return found


def _of_other_format(output: Output) -> list[Tombstone] | None:
    try:
        listed = json.loads(output.read(layout.PLAN))["tombstones"]
        return [Tombstone(int(one["photo_id"]), str(one["date"])) for one in listed]
    except (KeyError, TypeError, ValueError):
        return None


def _of_manifest(output: Output) -> list[Tombstone] | None:
    """Returns what the manifest lists; None if it may be of before the last take-down, or is lost as well."""
    try:
        manifest = read_record(output, layout.MANIFEST, Manifest)
    except (FileNotFoundError, ValueError):
        return None if output.names("rows") else []
    return manifest.tombstones if lists_all(manifest) and not output.names(layout.REWRITES) else None

"""What of a product beside a dataset stands already, and whether it is what is asked for."""

import logging
import re
import typing

from beam_jobs.command.errors import UsageError
from schemas.product_records import ProductRecord, made_from, product_manifest
from schemas.records import FileDigest, OtherFormatError
from transforms.datasets.finished_dataset import FinishedDataset
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")

_FILE = "file or folder"


def source_hash(kind: str, dataset: FinishedDataset) -> str:
    """Returns the hash of what a product of a dataset would be made from."""
    return made_from(kind, {name: sha256 for files in dataset.sha256 for name, sha256 in files.items()})


def standing_product(
    output: Output, kind: str, options: typing.Mapping[str, typing.Any], source: str
) -> ProductRecord | None:
    """Returns the record of a product that is whole and as asked for; says why one that is there is made anew.

    Files are compared by their sizes; ``photobeam verify`` reads them.

    Args:
        output: the dataset.
        kind: of the product.
        options: asked for; what else a record has does not count.
        source: of :func:`source_hash`.

    Raises:
        UsageError: it was made of this state with other options, or by another version of the format.
    """
    record = read_product(output, kind)
    if record is None:
        return None
    if record.made_from != source:
        _log.info("%s was made from another state of this dataset: it is made anew", product_manifest(kind))
        return None
    check_options(product_manifest(kind), record.options, options)
    changed = _changed(output, kind, record.files)
    if changed:
        _log.info("%s has changed or is missing: %s is made anew", changed, kind)
        return None
    return record


def read_product(output: Output, kind: str) -> ProductRecord | None:
    """Reads the record of a product; one that is damaged counts as none, which is said.

    Raises:
        UsageError: it is of another version of the format.
    """
    try:
        return read_record(output, product_manifest(kind), ProductRecord)
    except FileNotFoundError:
        return None
    except OtherFormatError as error:
        raise UsageError(f"{error}, or give --overwrite") from error
    except ValueError as error:
        _log.warning("%s; it is made anew", error)
        return None


def check_options(
    name: str, standing: typing.Mapping[str, typing.Any], options: typing.Mapping[str, typing.Any]
) -> None:
    """Refuses to go on with other options than what stands was made with.

    Args:
        name: of the record that stands.
        standing: its options.
        options: asked for, by flag; what else the record has does not count.

    Raises:
        UsageError: names those that differ.
    """
    different = differences(name, standing, options)
    if different:
        raise UsageError(f"{different}: give --overwrite to make it anew, or its flags")


def differences(name: str, standing: typing.Mapping[str, typing.Any], options: typing.Mapping[str, typing.Any]) -> str:
    """Says which options differ from those that a record has, '' if none does; of files a record has hashes.

    Example:
        >>> differences("m.json", {"seed": 1, "model": "0" * 64}, {"seed": 2, "model": "1" * 64})
        '--seed is 2, m.json has 1; --model is another file or folder than m.json has'
    """
    return "; ".join(
        f"--{option} is {_difference(name, standing.get(option), value)}"
        for option, value in options.items()
        if standing.get(option) != value
    )


def begin_product(output: Output, kind: str) -> None:
    """Removes a product, its record first: from now on its files are of one that is not finished."""
    output.remove(product_manifest(kind))
    output.remove_tree(kind)


def _changed(output: Output, kind: str, files: typing.Mapping[str, FileDigest]) -> str | None:
    sizes = output.sizes(kind)
    return next((name for name, digest in files.items() if sizes.get(name) != digest.bytes), None)


def _difference(name: str, standing: typing.Any, value: typing.Any) -> str:
    if _is_hash(standing) and _is_hash(value):
        return f"another {_FILE} than {name} has"
    return f"{_said(value)}, {name} has {_said(standing)}"


def _said(value: typing.Any) -> str:
    if isinstance(value, bool):
        return "given" if value else "not given"
    if isinstance(value, list):
        value = ",".join(map(str, value))
    if value in (None, ""):
        return "not given"
    return f"a {_FILE}" if _is_hash(value) else str(value)


def _is_hash(value: typing.Any) -> bool:
    """Tells whether it is the SHA-256 of a file, perhaps after the name of a member of it."""
    return isinstance(value, str) and re.search(r"(^| )[0-9a-f]{64}$", value) is not None

"""What the members hold that were added to samples."""

import io
import typing

import numpy as np

from schemas.sample_members import CLASS, AddedMembers, extensions_of


def added_members(added: AddedMembers | None, sample: typing.Mapping[str, typing.Any]) -> list[tuple[str, bytes]]:
    """Returns extension and data of the members of a sample, in the tar's order.

    Args:
        added: which.
        sample: has a value for each of :func:`schemas.sample_members.added_columns`.

    Example:
        >>> added_members(AddedMembers({CLASS: 80}, ""), {"class_id": 16})
        [('cls', b'16')]
    """
    return [(name, _data(name, added.sizes[name], sample)) for name in extensions_of(added)] if added else []


def _data(name: str, size: int, sample: typing.Mapping[str, typing.Any]) -> bytes:
    if name == CLASS:
        return b"%d" % sample["class_id"]
    file = io.BytesIO()
    np.save(file, np.array(sample["token_ids"], np.int32).reshape(-1, size), allow_pickle=False)
    return file.getvalue()

"""Members that `photobeam text --into_shards` adds to every sample, behind its image, JSON and text.

The sidecar has what they hold as columns, so that a member can be made again from its row.
"""

import dataclasses
import typing

import pyarrow as pa

from schemas.columns import Column

TOKENS, CLASS = "tokens.npy", "cls"

ADDED_COLUMNS: typing.Final = ("class_id", "token_ids", "token_lengths")
"""The columns that the sidecar has for all of them."""


@dataclasses.dataclass(frozen=True)
class AddedMembers:
    """The members that a shard has.

    Attributes:
        sizes: by extension, of :data:`TOKENS` the ids in a row, of :data:`CLASS` the number above all of the classes'.
        made_from: SHA-256 of the record of the captions and labels that they are of, hex.
    """

    sizes: dict[str, int]
    made_from: str


def extensions_of(added: AddedMembers | None) -> list[str]:
    """Returns the extensions of members, in the tar's order.

    Example:
        >>> extensions_of(AddedMembers({TOKENS: 20, CLASS: 80}, "")), extensions_of(None)
        (['cls', 'tokens.npy'], [])
    """
    return sorted(added.sizes) if added else []


def added_columns(added: AddedMembers | None) -> list[Column]:
    """Returns the columns that the sidecar has for members.

    Example:
        >>> [column.name for column in added_columns(AddedMembers({TOKENS: 20, CLASS: 80}, ""))]
        ['class_id', 'token_ids', 'token_lengths']
    """
    return [column for name in extensions_of(added) for column in _columns(name, added.sizes[name])] if added else []


def _columns(name: str, size: int) -> list[Column]:
    if name == CLASS:
        return [Column("class_id", pa.int32(), "Number of the photo's single class: the member `cls`.", required=True)]
    ids = pa.list_(_element(pa.list_(_element(pa.int32()), size)))
    return [
        Column("token_ids", ids, "Of each caption the ids, padded and cut: the member `tokens.npy`.", required=True),
        Column("token_lengths", pa.list_(_element(pa.int32())), "How many of these are no padding.", required=True),
    ]


def _element(type_: pa.DataType) -> pa.Field:
    return pa.field("element", type_, nullable=False)

"""Lists of references that one step leaves for a later one, where a side input would hand them to every worker."""

import pickle
import typing

from transforms.stores.scratch import Scratch

T = typing.TypeVar("T")


def write_references(scratch: Scratch, name: str, references: typing.Sequence[T]) -> None:
    """Writes references under a name."""
    with scratch.writing(name) as path:
        path.write_bytes(pickle.dumps(list(references)))


def read_references(scratch: Scratch, name: str) -> list[typing.Any]:
    """Returns the references that were written under a name.

    Raises:
        OSError: they are not there.
    """
    with scratch.reading(name) as path:
        references: list[typing.Any] = pickle.loads(path.read_bytes())
    return references

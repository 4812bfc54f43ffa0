"""Whether a table of a dataset has one of some photos, as what is taken down leaves nothing that cannot be read."""

import pyarrow as pa

from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import DatasetFiles

UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What Parquet raises that is none."""


def has_photos(dataset: DatasetFiles, name: str, ids: frozenset[int]) -> bool:
    """Tells whether a table with a column ``photo_id`` has one of the photos, or is damaged or missing.

    Raises:
        OSError: the place does not give it.
    """
    try:
        with dataset.open(name) as file:
            return not ids.isdisjoint(read_parquet(file, ["photo_id"])["photo_id"].to_pylist())
    except FileNotFoundError:
        return True
    except UNREADABLE as error:
        if error.__cause__ or getattr(error, "errno", None):
            raise
        return True

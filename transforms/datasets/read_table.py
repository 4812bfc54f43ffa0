"""A table of a dataset, read whole, if it is one by its schema."""

import pyarrow as pa

from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import Fault


def read_table(data: bytes, name: str, schema: pa.Schema, remedy: str, faults: list[Fault]) -> pa.Table | None:
    """Reads a Parquet file in memory; returns None, and adds a fault, unless it has that schema.

    Args:
        data: the file.
        name: of the file.
        schema: that it should have.
        remedy: for every fault.
        faults: what is found is added here.
    """
    try:
        table = read_parquet(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        faults.append(Fault(name, f"it is no readable Parquet file: {error}", remedy))
        return None
    if not table.schema.equals(schema):
        own, wanted = ({f.name: (f.type, f.nullable) for f in fields} for fields in (table.schema, schema))
        wrong = sorted(n for n in own.keys() | wanted.keys() if own.get(n) != wanted.get(n))
        faults.append(Fault(name, f"it has another schema than this format's, in {', '.join(wrong[:4])}", remedy))
        return None
    if any(table[f.name].null_count for f in schema if not f.nullable):
        faults.append(Fault(name, "it has nulls in a column that allows none", remedy))
        return None
    return table

"""Rows of a unit as one immutable Parquet part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import digest

ARROW: Mapping[str, pa.DataType] = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "list[int64]": pa.list_(pa.int64()),
    "list[float32]": pa.list_(pa.float32()),
}
"""The data types that a table view's columns can have, by name."""


def schema(columns: Mapping[str, Any]) -> pa.Schema:
    """Give the Arrow schema of declared columns, each with the name of a type or the type itself."""
    kinds = {name: ARROW[kind] if isinstance(kind, str) else kind for name, kind in columns.items()}
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()])


def encode(columns: Mapping[str, Any], rows: Mapping[str, Any]) -> bytes:
    """Write columns of equal length as a Parquet file; the same rows give the same bytes.

    Raises `ValueError` for columns that are not those declared, or numbers that are no whole ones where
    those are declared.
    """
    if set(rows) != set(columns):
        raise ValueError(f"made the columns {', '.join(rows)}; declared are {', '.join(columns)}")
    for name, kind in columns.items():
        if str(kind).startswith("int") and len(rows[name]) and np.asarray(rows[name]).dtype.kind == "f":
            raise ValueError(f"{name} is declared {kind}, and has numbers with a point")
    table = pa.table({name: rows[name] for name in columns}, schema=schema(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue().to_pybytes()


def decode(data: bytes) -> pa.Table:
    """Read a Parquet file; not with `read_table`, which takes four times as long for a part."""
    rows: pa.Table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    return rows


def is_whole(data: bytes, sha256: str) -> bool:
    """Tell whether these are the bytes that were written."""
    return digest.of_bytes(data) == sha256

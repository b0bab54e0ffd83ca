"""The page in a bundle that says what is in it, and how to open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...compute.views import all_views

_HEAD = """\
# {store}, published {time}

What was computed about vision models, for reading. Nothing here needs Belvedere, which wrote it
(https://github.com/belvedere-views/belvedere): DuckDB 1.5 or later is enough for the tables, xarray with
zarr 3 for the arrays. The folder can be moved; paths in it are relative to this page, but for `images.path`
and `source`, which say where the images, models and texts were when they were added.

## Tables

`catalog.duckdb` has them all, and `tables/` has each as Parquet. `completeness` says which combinations of
models, images and texts are in them, and which are not because something of them was not computed.

```python
import duckdb

con = duckdb.connect("catalog.duckdb", read_only=True)
con.sql("FROM completeness").show()
con.sql("FROM {table} LIMIT 5").show()
con.sql("FROM 'tables/{table}.parquet' LIMIT 5").show()
```

Tables join `USING (image_set, image_id)` with `images` and `thumbnails`, and `USING (text_set, text_id)` with
`texts`. Layers, heads, neurons, ranks, image_id and text_id count from 0.

"""
_ARRAYS = """\

## Arrays

```python
import xarray

found = xarray.open_zarr("{path}")
print(found["{view}"])
```

"""


def page(
    store: str,
    time: str,
    tables: Mapping[str, int],
    arrays: Sequence[Mapping[str, Any]],
    left_out: Sequence[str],
) -> str:
    """Write the page of a bundle, in Markdown."""
    views = [name for name in all_views() if tables.get(name)]
    others = [name for name in tables if name not in all_views() and tables[name]]
    head = _HEAD.format(store=store, time=time, table=[*views, "images"][0])
    rows = [_row("table", "rows", ""), "|---|--:|---|"]
    rows += [_row(name, f"{tables[name]:,}", all_views()[name].summary()) for name in views]
    rows += [_row(name, f"{tables[name]:,}", "") for name in others]
    lines = [head, *(f"{row}\n" for row in rows)]
    if left_out:
        lines.append("\nNot in the tables, for they were not complete: " + ", ".join(left_out) + ".\n")
    if arrays:
        first = arrays[0]
        lines.append(_ARRAYS.format(path=first["path"], view=first["view"]))
        rows = [_row("array", "axes", "shape"), "|---|---|---|"]
        rows += [_row(each["path"], each["dims"], each["shape"]) for each in arrays]
        lines += [f"{row}\n" for row in rows]
    if tables.get("thumbnails"):
        lines.append(
            "\n## Pictures\n\nThe table `thumbnails` says which image is which file in `thumbnails/`.\n"
        )
    return "".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

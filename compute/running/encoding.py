"""What was made for a unit, as the data objects that are kept of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from ...store import arrays, parts
from ...store.failures import Failure, failure
from ...store.grid import Grid
from ...store.views import ArrayView, TableView, Unit, View
from ..kinds import ImagePass, Made, TextRows
from ..views import package_of

LIBRARIES = ("belvedere", "numpy", "open_clip_torch", "pillow", "timm", "torch", "torchvision", "zarr")
"""Libraries whose versions are recorded with each unit, and that of the package that a view comes from."""


def encoded(unit: Unit, made: Made) -> dict[str, bytes]:
    """Turn what was made to the data objects of a unit: path below the attempt, and bytes."""
    view = unit.view
    if isinstance(view, TableView):
        _check_rows(unit, view, made.rows)
        return {"part.parquet": parts.encode({**view.columns, **view.beside}, made.rows)}
    members = cast("ArrayView", view).members()
    shard = cast("ArrayView", view).shard
    data: dict[str, bytes] = {}
    for member in members:
        start, stop = Grid(member.shape[0], shard).span(unit.index)
        arrays.check_arrays([member], made.arrays, stop - start)
        encoded = arrays.encode(member, made.arrays[member.name], shard)
        data |= {f"{member.name}/{name}": content for name, content in encoded.items()}
    return data


def absences(unit: Unit, made: Made) -> list[Failure]:
    """Describe the rows of a unit that could not be made, each with its reason."""
    view, found = unit.view, []
    for row, reason in sorted(made.absent.items()):
        place, path = unit.start + row, None
        kind = "TextTooLong" if isinstance(view, TextRows) else "AbsentRow"
        if isinstance(view, ImagePass):
            path = view.images.path(place)
            kind = kind if view.model.imported else "UnreadablePicture"
        found.append(failure(unit, kind, reason, row=place, path=path))
    return found


def _check_rows(unit: Unit, view: TableView, rows: Mapping[str, Any]) -> None:
    """Refuse rows of another unit, which SQL would not find, or of none; `ValueError` says which."""
    for name in set(view.keys) & set(view.columns):
        if any(place is None or place != place for place in rows.get(name, ())):
            raise ValueError(f"a row of {unit} has no {name}: it is null, or not a number")
    column = view.axis_column
    there = rows.get(column, ()) if column else ()
    outside = [place for place in there if not unit.start <= place < unit.stop]
    if outside:
        raise ValueError(f"a row has {column} {outside[0]}, which is not of {unit}")


def libraries(view: View) -> dict[str, str]:
    """Give the versions of the libraries that are recorded with a view's units."""
    package = package_of(view)
    return {**_always(), **({package: importlib.metadata.version(package)} if package else {})}


@cache
def _always() -> dict[str, str]:
    """Look the versions up once: each is a file that is searched for and read."""
    return {each: importlib.metadata.version(each) for each in LIBRARIES}

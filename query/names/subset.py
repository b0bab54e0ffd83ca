"""A subset of images that are in the store, chosen by an SQL statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ...compute.images.found import Found
from ...compute.images.masks import kept as kept_mask
from ...store.errors import BadSource, QueryError
from ...store.registry import Registry
from ..sql.answer import Answer

COLUMNS = ("image_set", "image_id")
"""What a statement that chooses images has to answer; other columns are not looked at."""
_TAKEN = ("digest", "width", "height", "size", "modified")


@dataclass(frozen=True, slots=True)
class Subset:
    """Images that a statement chose, with all that the sets they are in know of them."""

    source: str
    """The statement in words."""
    found: Sequence[Found]
    """The images in the order of the statement."""


def choose(names: Registry, answer: Callable[[], Answer], statement: str) -> Subset:
    """Take the images that a statement's complete answer names; no picture is read.

    Raises:
        QueryError: The answer lacks one of the columns image_set and image_id, or has in them what is no
            place in a set.
        UnknownName: The answer names a set that there is not.
        BadSource: It chooses no image, or one image twice.
    """
    while True:
        before = _versions(names)
        found = list(_found(names, answer()))
        if _versions(names) == before:  # else places may have come to mean other images meanwhile
            break
    if not found:
        raise BadSource("the statement chooses no images")
    return Subset(f"sql: {statement.strip()}", found)


def _versions(names: Registry) -> dict[str, int]:
    return {name: names.version("images", name) for name in names.image_sets()}


def _found(names: Registry, answer: Answer) -> Iterator[Found]:
    rows = answer.arrow()
    if not {*COLUMNS} <= {*rows.column_names}:
        raise QueryError(
            f"the statement answers with {', '.join(rows.column_names)}; it has to answer with image_set and "
            "image_id, as SELECT image_set, image_id FROM images WHERE … does"
        )
    sets, places = (rows[column] for column in COLUMNS)
    kinds = pa.types.is_string(sets.type) and pa.types.is_integer(places.type)
    if not kinds or sets.null_count or places.null_count:
        raise QueryError("image_set has to be a name and image_id a whole number in each row of the answer")
    known: dict[str, list[dict[str, Any]]] = {}
    seen: dict[str, str] = {}
    chosen: list[tuple[Any, Any]] = list(zip(sets.to_pylist(), places.to_pylist(), strict=True))
    for name, place in chosen:
        if name not in known:
            known[name] = names.image_set(name).entries.to_pylist()
        if not 0 <= place < len(known[name]):
            raise QueryError(f"{name} has {len(known[name])} images, counted from 0, and none of id {place}")
        row = known[name][place]
        here = f"image {place} of {name}"
        if row["path"] in seen:
            raise BadSource(f"the statement chooses {row['path']} twice: {seen[row['path']]}, and {here}")
        seen[row["path"]] = here
        facts = {column: row[column] for column in _TAKEN} | kept_mask(row)
        yield Found(row["path"], row["label"], row["grp"], facts)

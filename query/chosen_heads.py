"""Heads as a user names them: `3.1`, `3.*`, or all of which an SQL predicate holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..store.errors import BadSelection, BadSource, QueryError
from ..store.sets import Model

if TYPE_CHECKING:
    from ..compute.runner import Progress
    from .store import Store

Place = tuple[int, int]
"""A layer and a head of it, each counted from 0."""


def named_heads(model: Model, heads: str | Iterable[str | Place]) -> list[Place]:
    """Read heads: `LAYER.HEAD`, `LAYER.*`, several with commas between, or pairs of numbers.

    Raises `BadSource` for what is none of these, and `BadSelection` for one that the model does not have.
    """
    listed = heads.split(",") if isinstance(heads, str) else list(heads)
    found = [place for each in listed for place in _places(model, each)]
    if not found:
        raise BadSource("no heads are named; leave heads out to take all of them")
    return sorted(set(found))


def _places(model: Model, named: str | Place) -> list[Place]:
    layers, heads = model.shape.layers, model.shape.heads
    if not isinstance(named, str):
        layer, head = (int(each) for each in named)
    elif whole := re.fullmatch(r"(\d+)\.\*", named.strip()):
        layer, head = int(whole[1]), -1
    elif one := re.fullmatch(r"(\d+)\.(\d+)", named.strip()):
        layer, head = int(one[1]), int(one[2])
    else:
        raise BadSource(f"{named!r} is no head: LAYER.HEAD such as 3.1, or LAYER.* for all of a layer")
    every = isinstance(named, str) and head == -1
    if not 0 <= layer < layers or not (every or 0 <= head < heads):
        what = f"layer {layer}" if every else f"head {layer}.{head}"
        raise BadSelection(
            f"no {what} in {model.name!r}; there are {layers} layers of {heads} heads, counted from 0"
        )
    return [(layer, each) for each in range(heads)] if every else [(layer, head)]


def heads_where(
    store: Store,
    predicate: str,
    *,
    model: Model,
    images: str,
    texts: str | None,
    progress: bool | Progress = True,
) -> list[Place]:
    """Choose heads by an SQL predicate over layer and head, or over `head_roles` and `head_descriptions`.

    A predicate over layer and head alone computes nothing; for another, what is missing of the two tables is
    filled. Raises `BadSelection` where it holds for no head, and `QueryError` where it is not understood.
    """
    try:
        found = _over_places(store, predicate, model)
    except QueryError:
        view = store.view("head_roles", model=model.name, images=images, texts=texts)
        statement = f"""
            SELECT DISTINCT layer, head
            FROM head_roles JOIN head_descriptions USING (model, image_set, text_set, layer, head)
            WHERE model = ? AND image_set = ? AND text_set = ? AND ({predicate})
            ORDER BY layer, head
        """
        names = [*view._view.names.values()]
        found = store.sql(statement, names, fill=True, require_complete=True, progress=progress).fetchall()
    if not found:
        raise BadSelection(f"no head of {model.name!r} has {predicate}")
    return [(int(layer), int(head)) for layer, head in found]


def _over_places(store: Store, predicate: str, model: Model) -> list[Place]:
    """Choose heads by where they are; `QueryError` where the predicate asks for more."""
    statement = f"""
        SELECT layer, head
        FROM range(?) AS layers(layer), range(?) AS heads(head)
        WHERE ({predicate})
        ORDER BY layer, head
    """
    found: list[Place] = store.sql(statement, [model.shape.layers, model.shape.heads]).fetchall()
    return found

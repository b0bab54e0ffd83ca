"""Heads as a user names them: `3.1`, `3.*`, or all for which a condition holds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...compute.heads.head_sets import HeadSet, heads_of, one_head, there
from ...compute.running.report import Progress
from ...store.errors import BadSelection, BadSource
from ...store.sets import Model
from ..engine import Engine
from ..names.chosen import chosen

Place = tuple[int, int]
"""A layer and a head of it, each counted from 0."""


def named_heads(model: Model, heads: str | Iterable[str | Place]) -> list[Place]:
    """Read heads: `LAYER.HEAD`, `LAYER.*`, several with commas between, or pairs of numbers.

    Raises `BadSource` for what is none of these, and `BadSelection` for one that the model does not have.
    """
    if isinstance(heads, str) and re.search(r"[=<>()']", heads):
        raise BadSource(f"{heads!r} is no list of heads such as 3.1 or 3.*; a condition is where=… (--where)")
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
    elif one := one_head(named, model):
        layer, head = one
    else:
        raise BadSource(f"{named!r} is no head: LAYER.HEAD such as 3.1, or LAYER.* for all of a layer")
    every = isinstance(named, str) and head == -1
    if not 0 <= layer < layers or not (every or 0 <= head < heads):
        what = f"layer {layer}" if every else f"head {layer}.{head}"
        raise BadSelection(f"no {what} in {model.name!r}; {there(model.shape)}")
    return [(layer, each) for each in range(heads)] if every else [(layer, head)]


def heads_where(
    engine: Engine, condition: str, *, model: Model, images: str, texts: str | None, told: Progress
) -> list[Place]:
    """Choose heads by a condition, or by a declared view of heads; see `query/names/chosen.py`.

    What is missing of roles and descriptions is filled, where the condition asks for them. Raises
    `QueryError` for one that is not understood, and `BadSelection` where it holds for no head.
    """
    pools = engine.folder.names.text_sets() if texts is None else [texts]
    view = engine.same(chosen(engine, condition, model, images, pools))
    return chosen_now(engine, view, model, told)


def chosen_now(engine: Engine, view: HeadSet, model: Model, told: Progress) -> list[Place]:
    """Choose heads for one question; what is missing of roles and descriptions is filled.

    Raises `BadSelection`, and records no failure, where the condition holds for no head of the model.
    """
    engine.ensure([need for unit in view.units for need in unit.needs], told)
    try:
        engine.ensure(view.units)
    except BadSelection:
        if engine.folder.writable:  # said here; the table `errors` is about what is kept
            engine.folder.failures.settle(view.units[0], [])
        raise
    return heads_of(view, model.shape, engine.reader)

"""The images at the top of a neuron or of a head: their rows, and a contact sheet of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSelection, BadSource, UnknownName
from .contact import tiles
from .heat import heated
from .sheet import ContactSheet, Row

if TYPE_CHECKING:
    import pandas as pd

    from ...compute.running.report import Progress
    from ..lazy.table import LazyTable
    from ..store import Store

OF_NEURON, OF_HEAD = 12, 6
"""Images shown of a neuron, and at each end of a direction of a head, unless a number is given."""
DESCRIPTIONS, COMPONENTS = 4, 2
"""Directions shown of a head, unless one is named: its first descriptions and principal components."""
COMPONENT = re.compile(r"component \d+")


@dataclass(frozen=True, slots=True)
class Neuron:
    """One channel of a module."""

    module: str
    """The module's name, as the model has it."""
    neuron: int
    """Its place, counted from 0."""

    def __str__(self) -> str:
        return f"{self.module}:{self.neuron}"


@dataclass(frozen=True, slots=True)
class Head:
    """One attention head."""

    layer: int
    """Its layer, counted from 0."""
    head: int
    """Its place in the layer, counted from 0."""

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True, slots=True, eq=False)
class Top:
    """What was found; a notebook shows it as a contact sheet."""

    rows: pd.DataFrame
    """The view's rows with each image's label, grp and path, in the order in which they are shown."""
    sheet: ContactSheet
    """The images."""

    def _repr_png_(self) -> bytes:
        return self.sheet._repr_png_()


def read_place(text: str) -> Neuron | Head:
    """Read `LAYER.HEAD` or `MODULE:NEURON`; `BadSource` says what each looks like.

    >>> read_place("3.1"), read_place("visual.layer4.0:17")
    (Head(layer=3, head=1), Neuron(module='visual.layer4.0', neuron=17))
    """
    if found := re.fullmatch(r"(\d+)\.(\d+)", text):
        return Head(int(found[1]), int(found[2]))
    if found := re.fullmatch(r"(.+):(\d+)", text):
        return Neuron(found[1], int(found[2]))
    raise BadSource(
        f"{text!r} is neither a head, LAYER.HEAD such as 3.1, nor a neuron, MODULE:NEURON such as layer4:17"
    )


def top(
    store: Store,
    text: str,
    inputs: Mapping[str, str | None],
    *,
    direction: str | None,
    count: int | None,
    heat: bool,
    progress: bool | Progress,
) -> Top:
    """Look up the images at the top of a neuron or a head; see `Store.top`."""
    place = read_place(text)
    if count is not None and count < 1:
        raise BadSource(f"count={count}: at least one image is shown")
    if isinstance(place, Head):
        return _of_head(store, place, inputs, direction, count or OF_HEAD, progress, heat=heat)
    if direction is not None or inputs["texts"] is not None or heat:
        raise BadSource(f"{place} is a neuron; texts, directions and heat are those of heads")
    return _of_neuron(store, place, inputs, count or OF_NEURON, progress)


def _of_neuron(
    store: Store, place: Neuron, inputs: Mapping[str, str | None], count: int, progress: bool | Progress
) -> Top:
    names = {"model": inputs["model"], "images": inputs["images"]}
    neurons = store.view("neuron_activations", **names, module=place.module).shape[1]
    if place.neuron >= neurons:
        raise BadSelection(
            f"no neuron {place.neuron} in {place.module}, which has neurons 0 to {neurons - 1}"
        )
    view = store.view("top_images", **names, module=place.module, k=count)
    found = _fetched(view.where("neuron = ?", place.neuron), progress)
    if found.empty:
        raise BadSelection(f"none of the images of {place} could be read (belvedere errors lists them)")
    rows = _with_images(store, found)
    title = f"Neuron {place.neuron} of {place.module} in “{rows.model[0]}”"
    row = Row([tiles(store, rows, ["activation", "label"])])
    return Top(rows, ContactSheet([row], title, _over(store, rows)))


def _of_head(
    store: Store,
    place: Head,
    inputs: Mapping[str, str | None],
    direction: str | None,
    count: int,
    progress: bool | Progress,
    *,
    heat: bool,
) -> Top:
    _check(store, place, inputs)
    condition, at = "layer = ? AND head = ?", (place.layer, place.head)
    found = _fetched(store.view("head_top_images", **inputs, k=count).where(condition, *at), progress)
    if found.empty:
        raise BadSelection(f"head {place} writes the same for all images, or none of them could be read")
    known = list(found.direction.unique())
    if direction is not None and direction not in known:
        raise UnknownName(f"direction of head {place}", direction, known)
    chosen = [direction] if direction is not None else _first(known)
    rows = _with_images(store, found[found.direction.isin(chosen)])
    said = _fetched(store.view("head_descriptions", **inputs).where(condition, *at), progress)
    told = {each.description: each for each in said.itertuples()}
    title = f"Head {place.head} of layer {place.layer} in “{rows.model[0]}”"
    made = [_row(store, rows[rows.direction == each], told.get(each), heat=heat) for each in chosen]
    return Top(rows, ContactSheet(made, title, _over(store, rows), ("highest", "lowest")))


def _check(store: Store, place: Head, inputs: Mapping[str, str | None]) -> None:
    """Refuse a head that the model does not have, before anything is computed."""
    contributions = store.view("head_contributions", model=inputs["model"], images=inputs["images"])
    layers, heads = contributions.shape[1:3]
    if place.layer >= layers or place.head >= heads:
        raise BadSelection(f"no head {place}; there are {layers} layers of {heads} heads, counted from 0")


def _first(known: Sequence[str]) -> list[str]:
    """Give the first descriptions and the first components."""
    components = [each for each in known if COMPONENT.fullmatch(each)]
    descriptions = [each for each in known if each not in components]
    return descriptions[:DESCRIPTIONS] + components[:COMPONENTS]


def _row(store: Store, rows: pd.DataFrame, said: Any, *, heat: bool) -> Row:
    """Lay out one direction, its high end apart from its low one, each from its outermost image."""
    ends = [rows[rows["rank"] >= 0], rows[rows["rank"] < 0]]
    told = "" if said is None else f"explains {100 * said.variance:.0f} % of the head's variance"
    groups = [tiles(store, each, ["score", "label"]) for each in ends]
    if heat and said is not None:
        records = [each.to_dict("records") for each in ends]
        groups = [
            [heated(store, *pair, int(said.text_id)) for pair in zip(group, known, strict=True)]
            for group, known in zip(groups, records, strict=True)
        ]
    return Row(groups, str(rows.direction.iloc[0]), told)


def _fetched(view: LazyTable, progress: bool | Progress) -> pd.DataFrame:
    """Fill what is missing, and say how that goes on; then fetch the rows."""
    view.fill(progress=progress)
    return view.df()


def _with_images(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """Put label, grp and path beside each row, where there are some."""
    query = "SELECT image_id, label, grp, path FROM images WHERE image_set = ?"
    known = store.sql(query, [rows.image_set.iloc[0]]).df()
    return rows.merge(known, on="image_id", how="left")


def _over(store: Store, rows: pd.DataFrame) -> str:
    (name,) = rows.image_set.unique()
    query = "SELECT images FROM image_sets WHERE image_set = ?"
    return f"over the {store.sql(query, [name]).fetchall()[0][0]:,} images of “{name}”"

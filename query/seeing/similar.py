"""The images nearest to an image or to a text, as some heads see them: their rows, and a contact sheet."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

import numpy as np

from ...compute.heads.head_sets import is_place
from ...compute.heads.retrieval import Measure, nearest
from ...store.errors import BadSelection, BadSource, UnknownName
from ...store.views import Array
from ..known import Inputs, Names
from ..progress import teller
from ..resolve import resolve
from .asked_texts import embedded, views_of
from .chosen_heads import chosen_now
from .contact import tiles
from .sheet import ContactSheet, Row

if TYPE_CHECKING:
    import pandas as pd

    from ...compute.heads.conventions import Convention
    from ...compute.running.report import Progress
    from ...compute.views.chosen_contributions import ChosenContributions
    from ..engine import Engine
    from ..store import Store

MEASURES: tuple[Measure, ...] = ("cosine", "dot")


@dataclass(frozen=True, eq=False)
class Similar:
    """What was found; a notebook shows it as a contact sheet."""

    rows: pd.DataFrame
    """A row for each image, the nearest first: model, image_set, heads, query, rank, image_id, score, and of
    the image label, grp and path."""
    draw: Callable[[], ContactSheet]
    """Reads the pictures."""

    @cached_property
    def sheet(self) -> ContactSheet:
        """The images, beside the one that was asked about; pictures are read when it is asked for."""
        return self.draw()

    def _repr_png_(self) -> bytes:
        return self.sheet._repr_png_()


def similar(
    store: Store,
    asked: SupportsIndex | str,
    inputs: Inputs,
    heads: str | None,
    *,
    measure: Measure,
    count: int,
    convention: Convention,
    progress: bool | Progress,
) -> Similar:
    """Look up the images nearest to an image or a text; see `Store.similar`."""
    to = _asked(asked)
    if measure not in MEASURES:
        raise UnknownName("measure", str(measure), MEASURES)
    _check_count(count)
    engine = store._engine
    params = {"heads": heads, "convention": convention}
    found = resolve(Names(engine), "chosen_contributions", inputs, params)
    view = cast("ChosenContributions", engine.same(found))
    query = _of_text(engine, view, to) if isinstance(to, str) else None
    if isinstance(to, int):
        _check_image(view, to)
    told = teller(progress)
    if view.heads is not None:
        chosen_now(engine, view.heads, view.contributions.model, told)
    engine.ensure(view.units, told)

    def look() -> tuple[Array, ...]:
        sought = _of_image(engine, view, cast("int", to)) if query is None else query
        besides = np.array([to]) if isinstance(to, int) else None
        return nearest(view, engine.reader, sought, measure=measure, k=count, besides=besides).found()

    _, rank, score, image = engine.kept(view.units, look)
    import pandas as pd

    nearby = pd.DataFrame(
        {
            **{name: [value] * len(rank) for name, value in view.names.items()},
            "heads": pd.Series([heads] * len(rank), dtype=object),
            "query": [to] * len(rank),
            "rank": rank.astype(np.int32),
            "image_id": image,
            "score": score.astype(np.float32),
        }
    )
    if nearby.empty:
        raise BadSelection(f"there is no other image in {view.images.name!r} that these heads see")
    rows = _with_images(view, nearby)
    return Similar(rows, lambda: _sheet(store, view, rows, to, heads))


def _asked(to: object) -> int | str:
    """Take a text, or the number of an image as any kind of integer: those of numpy and pandas, too."""
    if isinstance(to, str):
        return to
    try:
        if isinstance(to, bool | np.bool_):
            raise TypeError
        return operator.index(cast("SupportsIndex", to))
    except TypeError:
        raise BadSource(f"similar takes the number of an image, or a text, not {to!r}") from None


def _check_count(count: object) -> None:
    """Refuse to show a number of images that is none."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise BadSource(f"count={count!r}: a number of images, and at least one, is shown")


def _check_image(view: ChosenContributions, image: int) -> None:
    """Refuse an image that the set does not have."""
    name, count = view.images.name, len(view.images)
    if not 0 <= image < count:
        raise BadSelection(
            f"no image {image} in {name!r}, which has images 0 to {count - 1}; only images of the set "
            "that is searched can be asked about: belvedere add images adds others to it"
        )


def _of_image(engine: Engine, view: ChosenContributions, image: int) -> Array:
    """Read what the heads write for an image, "query joint"; `BadSelection` where they write nothing."""
    vector = engine.reader.array(view, "vector", (slice(image, image + 1),)).astype(np.float64)
    if np.isnan(vector).any():
        path = view.images.path(image)
        raise BadSelection(f"image {image} ({path}) could not be read, so that nothing is alike to it")
    if not vector.any():
        raise BadSelection(f"these heads write nothing for image {image}; choose others")
    return vector


def _of_text(engine: Engine, view: ChosenContributions, text: str) -> Array:
    """Embed a text of the user's own, "query joint"; it is registered nowhere."""
    if not text.strip():
        raise BadSource("similar takes the number of an image, or a text that is not empty")
    return embedded(engine, views_of(engine, view.contributions.model, [text.strip()])).astype(np.float64)


def _with_images(view: ChosenContributions, rows: pd.DataFrame) -> pd.DataFrame:
    """Put label, grp and path beside each row."""
    known = view.images.entries.select(["label", "grp", "path"]).take(rows.image_id.to_list())
    return rows.join(known.to_pandas())


def _sheet(
    store: Store, view: ChosenContributions, rows: pd.DataFrame, to: int | str, heads: str | None
) -> ContactSheet:
    seen = "all heads see" if heads is None else f"the heads of “{heads}” see"
    if heads is not None and is_place(heads):
        seen = f"head {heads.strip()} sees"
    over = f"as {seen} them, over the {len(view.images):,} images of “{view.images.name}”"
    groups, headings = [tiles(store, rows, ["score", "label"])], tuple[str, ...]()
    if isinstance(to, int):
        asked: Any = rows.head(1).assign(image_id=to)
        label = view.images.entries["label"][to].as_py()
        groups = [tiles(store, asked.assign(label=[label]), ["label"]), *groups]
        headings = ("image", "nearest")
    title = f"Images nearest to {f'image {to}' if isinstance(to, int) else f'“{to}”'}"
    return ContactSheet([Row(groups)], f"{title} in “{view.contributions.model.name}”", over, headings)

"""Heads that write about a text: any text, judged by the heads' moments, without an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import numpy as np

from ...compute.heads.spread import Spread, apart, spread
from ...compute.views.text_embeddings import TextEmbeddings
from ...compute.views.tower_maps import TowerMaps
from ...store.errors import BadSource, DamagedUnit, MissingUnits
from ...store.sets import Model
from ...store.views import Array
from ..known import Inputs, Names
from ..progress import teller
from ..resolve import resolve
from .asked_texts import checked, embedded, views_of

if TYPE_CHECKING:
    import pandas as pd

    from ...compute.heads.conventions import Convention
    from ...compute.heads.moments import Doubles
    from ...compute.running.report import Progress
    from ...compute.views.head_moments import HeadMoments
    from ...compute.views.head_roles import HeadRoles
    from ..engine import Engine


def heads_for(
    engine: Engine,
    texts: str | Sequence[str],
    inputs: Inputs,
    *,
    convention: Convention,
    progress: bool | Progress,
) -> pd.DataFrame:
    """Rank the heads by how much of what they write is about each of these texts; see `Store.heads_for`."""
    asked, told = checked(texts, "heads_for"), teller(progress)
    names = Names(engine)
    found = resolve(names, "head_moments", Inputs(inputs.model, inputs.images), {})
    moments = cast("HeadMoments", engine.same(found))
    model = moments.contributions.model
    maps = engine.same(TowerMaps(model))
    pool = _pool(engine, names, model, inputs.texts)
    alone = views_of(engine, model, asked)
    engine.ensure([unit for view in (*alone, *pool) for unit in view.units], told)
    words = embedded(engine, alone)
    directions = np.vstack([words, apart(words, *(_known(engine, view) for view in pool))])
    engine.ensure([*moments.units, *maps.units], told)  # last: what is wrong with a text is said first

    def measure() -> list[Spread]:
        every = moments.show(engine.reader, (slice(None),) * 4)
        layers = enumerate(every)
        return [
            spread(each, maps.joint_maps(engine.reader, at, convention), directions) for at, each in layers
        ]

    layers = engine.kept([*moments.units, *maps.units], measure)
    measures = np.stack([np.stack([each.share, each.variance, each.mean]) for each in layers], axis=2)
    own, score = measures[:, : len(asked)], measures[0, len(asked) :]
    place = moments.names | {"text_set": pool[0].texts.name if pool else None}
    roles = _roles(engine, names, inputs, pool[0].texts.name, convention) if pool else {}
    return _frame(place, asked, own, score, roles)


def _pool(engine: Engine, names: Names, model: Model, texts: str | None) -> list[TextEmbeddings]:
    """Find the texts that the asked ones are held against: one view, or none where none are registered."""
    if texts is None and not names.text_sets():
        return []
    found = resolve(names, "text_embeddings", Inputs(model=model.name, texts=texts), {})
    return [cast("TextEmbeddings", engine.same(found))]


def _known(engine: Engine, view: TextEmbeddings) -> Array:
    """Read the embeddings of the pool, but for texts that are too long for the model."""
    found = engine.kept(view.units, lambda: engine.reader.array(view, "embedding"))
    there = found[~np.isnan(found).any(axis=1)]
    if not len(there):
        raise BadSource(
            f"no text of {view.texts.name!r} is short enough for {view.model.name!r}; take another"
        )
    return there


def _roles(
    engine: Engine, names: Names, inputs: Inputs, texts: str, convention: Convention
) -> dict[tuple[int, int], str]:
    """Read the roles that are kept, by layer and head; none is computed for it."""
    every = Inputs(inputs.model, inputs.images, texts)
    view = cast("HeadRoles", engine.same(resolve(names, "head_roles", every, {"convention": convention})))
    done, found = engine.done(view), dict[tuple[int, int], str]()
    for unit in view.units:
        if unit.key in done:
            with suppress(DamagedUnit, MissingUnits):
                rows = engine.reader.rows(unit).to_pylist()
                found.update({(row["layer"], row["head"]): str(row["role"]) for row in rows})
    return found


def _frame(
    place: Mapping[str, str | None],
    asked: Sequence[str],
    own: Doubles,
    score: Doubles,
    roles: Mapping[tuple[int, int], str],
) -> pd.DataFrame:
    """Lay out measures "measure text layer head" and scores "text layer head", each text's best first."""
    import pandas as pd

    ranked = np.argsort(-score.reshape(len(asked), -1), axis=1, kind="stable")  # NaN comes last
    rows = [
        {
            **place,
            "text": text,
            "layer": layer,
            "head": head,
            "score": score[number, layer, head],
            **dict(zip(("share", "variance", "mean"), own[:, number, layer, head], strict=True)),
            "role": roles.get((layer, head)),
        }
        for number, text in enumerate(asked)
        for layer, head in zip(*np.divmod(ranked[number], score.shape[2]), strict=True)
    ]
    return pd.DataFrame(rows)

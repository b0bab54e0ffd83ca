"""Heads that a condition chooses: a table that a statement over roles and descriptions defines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain
from typing import Any, cast

import pyarrow as pa

from ...compute.heads.head_sets import NAME, HeadSet, is_place, one_head
from ...compute.kinds import Made
from ...compute.views import view_class
from ...store import digest
from ...store.errors import BadSelection, BadSource, QueryError, UnknownName
from ...store.parts import schema
from ...store.sets import ImageSet, Model, TextSet
from ...store.views import Param, Parts, Source, Unit
from ..engine import Engine
from ..sql import catalog, duck
from ..sql.clauses import columns
from ..sql.columns import columns_of, table_schema
from ..sql.declared import every, find
from ..sql.defined import Defined, mean
from ..sql.statement import held, lazy_tables

EVERY = (
    "(SELECT layer::INTEGER AS layer, head::INTEGER AS head "
    "FROM range({layers}) l(layer) CROSS JOIN range({heads}) h(head))"
)
"""All heads of a tower."""
ROLES = "(SELECT * FROM head_roles WHERE {pinned})"
"""Their roles, for one model."""
DESCRIBED = (
    f"{ROLES} JOIN (SELECT * FROM head_descriptions WHERE {{pinned}}) "
    "USING (model, image_set, text_set, layer, head)"
)
"""A row for each of their descriptions, with the role beside it."""
ROLES_THERE = "SELECT DISTINCT role FROM head_roles WHERE role IS NOT NULL ORDER BY role"
CATEGORISED = f"{DESCRIBED} JOIN texts USING (text_set, text_id)"
"""The same with the category of each description."""
SUCH_AS = 'such as "role = \'background\'" or "layer > 8", or one head, such as "3.1"'
"""What a condition looks like, for messages."""
_UNKNOWN = (
    "nor is it a condition on heads; belvedere declare names a table of heads, and gc removes what is left "
    "of one that was dropped"
)
"""What to do about a name that nothing has."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_KIND = re.compile(r"^\w+ Error: ")
"""What DuckDB calls a kind of error."""


@dataclass(frozen=True, eq=False)
class ChosenHeads(Defined, HeadSet):
    """The heads of a model that a condition chooses, in order.

    It is identified by the condition, the tower's shape and the units that the condition leaves; by names of
    a model or a set only where the condition speaks of these.
    """

    asked: Param[str]
    """The condition."""
    shape: Param[tuple[int, int]]
    """How many layers the tower has, and heads a layer: on these alone depend conditions on places."""

    @classmethod
    def name(cls) -> str:
        """The same for every condition."""
        return NAME

    @property
    def condition(self) -> str:
        """The condition, as it was asked."""
        return self.asked

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The condition; the statement that is made of it has names."""
        version = self.version + is_place(self.asked)  # before, "3.1" was a condition that all heads fit
        return {"view": NAME, "version": version, "parameters": {"asked": self.asked}, "inputs": {}}

    def sources(self) -> list[Source]:
        """None of its own: what is made from it has a model, and may have images and texts of its own."""
        return []

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the units and the rows of the catalog that the heads follow from."""
        units = sorted({self._told(unit) for unit in self.meant.units})
        tables = (f"{name}:{_rows(table, self.meant.units)}" for name, table in self.meant.tables.items())
        return digest.of_sequence([*map(str, self.shape), *units, *sorted(tables)])

    @cached_property
    def _spoken(self) -> list[str]:
        """The columns of names that the condition speaks of: by them it tells rows of equal units apart."""
        mentioned = _spoken_of(self.asked)
        return [each for each in (Model.column, ImageSet.column, TextSet.column) if each in mentioned]

    def _told(self, unit: Unit) -> str:
        """Give a unit's key, with the names that the condition speaks of."""
        return digest.of_sequence([unit.key, *(unit.view.names.get(each, "") for each in self._spoken)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Answer the statement; `BadSelection` where it chooses no head."""
        made = super().derive(unit, parts)
        if not made.facts["rows"]:
            raise BadSelection(f"{self.asked!r} chooses none of the heads that there are{self._said()}")
        return made

    def _said(self) -> str:
        """Say which roles heads have, where the condition asks for one."""
        if not any(unit.view.name() == "head_roles" for unit in self.meant.units):
            return ""
        tables = lazy_tables(self.meant.engine, duck.parse(ROLES_THERE), None)
        known = held(ROLES_THERE, None, {**tables, **self.meant.tables}).arrow()["role"].to_pylist()
        return f"; roles there are: {', '.join(map(str, known))}" if known else ""


def chosen(
    engine: Engine, condition: str, model: Model, images: str | None, pools: Sequence[str]
) -> ChosenHeads:
    """Give the heads that a condition chooses, as of now; nothing is computed.

    Args:
        engine: Reads the store.
        condition: An SQL condition on layer and head, on the columns of `head_roles`, or on those of
            `head_descriptions` and `texts` (a head is chosen where one of its descriptions fits); one head,
            `LAYER.HEAD`; or the name of a declared view with the columns layer and head.
        model: Whose heads.
        images: The image set whose roles and descriptions count, unless the condition names one
            (`image_set = …`).
        pools: The text sets whose descriptions they can be, unless the condition names one
            (`text_set = …`); there must be one then, where roles or descriptions are asked about.

    Raises:
        BadSelection: The model has no such head.
        QueryError: The condition is not understood, has no such column, or is none, as a number is.
        UnknownName: It is a name, and no column and no declared view has it.
        BadSource: It is empty, or the text set cannot be told.
    """
    if not condition.strip():
        raise BadSource(f"{condition!r} is no condition on heads {SUCH_AS}; leave it out for all heads")
    declared = find(engine.folder, condition.strip())
    known = engine.places.get((condition, model.shape)) if declared is None else None
    if known is not None:
        return cast("ChosenHeads", known)
    if declared is not None:
        _check_columns(engine, declared.name)
        statement = f"SELECT DISTINCT layer::INTEGER AS layer, head::INTEGER AS head FROM {declared.name}"
    else:
        place = one_head(condition, model)
        asked = condition if place is None else "layer = {} AND head = {}".format(*place)
        statement = _over(engine, asked, model, images, pools)
    shape = (model.shape.layers, model.shape.heads)
    view = ChosenHeads(f"{statement} ORDER BY layer, head", condition, shape)
    mean(engine, view, f"the condition on heads {condition!r}")
    if declared is None and not view.meant.units and not view.meant.tables and not view.meant.lacking:
        engine.places[condition, model.shape] = view  # it is on places alone, which stay the same
    return view


def _check_columns(engine: Engine, name: str) -> None:
    """Refuse a declared view of which no head can be read."""
    tables = lazy_tables(engine, duck.parse(f"FROM {name}"), None, looking=True)
    lacking = [each for each in ("layer", "head") if each not in tables[name].schema.names]
    if lacking:
        there = ", ".join(tables[name].schema.names)
        raise QueryError(
            f"{name!r} chooses no heads: it has the columns {there}, and lacks {' and '.join(lacking)}"
        )


def _over(engine: Engine, condition: str, model: Model, images: str | None, pools: Sequence[str]) -> str:
    """Ask the condition of as little as has its columns: of places, roles, or descriptions."""
    base, trouble = _base(condition)
    if base is None:
        if _NAME.fullmatch(condition.strip()) and not _spoken_of(condition) <= _known_columns():
            declared = [each.name for each in every(engine.folder)]
            raise UnknownName("declared view", condition.strip(), declared, _UNKNOWN)
        raise _no_condition(condition, trouble)
    asked = f"SELECT DISTINCT layer, head FROM {base} WHERE ({condition}\n)"
    if base is EVERY:
        return asked.replace(EVERY, EVERY.format(layers=model.shape.layers, heads=model.shape.heads))
    return asked.replace("{pinned}", _pinned(condition, model, images, pools))


@lru_cache(maxsize=1024)
def _base(condition: str) -> tuple[str | None, str]:
    """Find what has a condition's columns; None, and why, where nothing has, or it is no condition."""
    try:
        spoken = _spoken_of(condition)
    except QueryError as error:
        return None, str(error)
    if not spoken:
        return None, "it speaks of no column, and so tells no head from another"
    trouble = ""
    for base in (EVERY, ROLES, DESCRIBED, CATEGORISED):
        asked = base.format(layers=1, heads=1, pinned="true")
        try:
            _bind(f"SELECT DISTINCT layer, head FROM {asked} WHERE ({condition}\n)")
        except QueryError as error:
            trouble = str(error)
            continue
        if not pa.types.is_boolean(_bind(f"SELECT ({condition}\n) AS fits FROM {asked}")["fits"].type):
            return None, "it has a value, and is neither true nor false"
        return base, ""
    return None, trouble


def _no_condition(condition: str, trouble: str) -> QueryError:
    """Say why something is no condition, without the tables of ours that DuckDB speaks of."""
    trouble = _KIND.sub("", trouble.splitlines()[0]).rstrip("!;")
    with suppress(QueryError):
        unknown = sorted(_spoken_of(condition) - _known_columns())
        trouble = f"there is no column {' or '.join(map(repr, unknown))}" if unknown else trouble
    return QueryError(
        f"{condition!r} is no condition on heads: {trouble}; it can speak of layer and head, of the "
        f"columns of head_roles and head_descriptions, and of the texts' category, {SUCH_AS}"
    )


def _bind(statement: str) -> pa.Table:
    """Ask a statement of empty roles, descriptions and texts; `QueryError` where it cannot be."""
    duck.parse(statement)
    tables = {"texts": schema(catalog.COLUMNS["texts"]).empty_table()}
    for name in ("head_roles", "head_descriptions"):
        tables[name] = table_schema(view_class(name)).empty_table()
    with duck.connection(tables) as con:
        return duck.run(con, statement)


def _pinned(condition: str, model: Model, images: str | None, pools: Sequence[str]) -> str:
    """Say of which model, images and texts roles and descriptions are, where the condition does not."""
    mentioned = _spoken_of(condition)
    pinned = {Model.column: model.name}
    if ImageSet.column not in mentioned and images is not None:
        pinned[ImageSet.column] = images
    if TextSet.column not in mentioned:
        if len(pools) != 1:
            there = f"there are {', '.join(pools)}" if pools else "there is none: belvedere add texts"
            raise BadSource(
                f"the condition on heads {condition!r} asks for roles or descriptions by one of the text "
                f"sets; say by which, with AND text_set = '…'; {there}"
            )
        pinned[TextSet.column] = pools[0]
    return " AND ".join(f"{column} = '{_quoted(name)}'" for column, name in pinned.items())


def _quoted(name: str) -> str:
    return name.replace("'", "''")


@cache
def _known_columns() -> frozenset[str]:
    """Give the columns that a condition can speak of."""
    views = (columns_of(view_class(name)) for name in ("head_roles", "head_descriptions"))
    return frozenset({"layer", "head", *catalog.COLUMNS["texts"], *chain.from_iterable(views)})


@lru_cache(maxsize=1024)
def _spoken_of(condition: str) -> frozenset[str]:
    """Give the columns that a condition speaks of."""
    tree = duck.parse(f"SELECT 1 WHERE {condition}\n").tree
    return frozenset(key.name for key in columns(tree))


def _rows(table: pa.Table, units: Sequence[Unit]) -> str:
    """Give the digest of a table's rows, of texts only those of the sets that the units are of."""
    rows = table.to_pylist()
    used = {unit.view.names.get(TextSet.column) for unit in units}
    if TextSet.column in table.column_names and used - {None}:
        rows = [{**row, TextSet.column: ""} for row in rows if row[TextSet.column] in used]
    return digest.of_facts(rows)

"""Names that users declare: a view with other parameters, or a table that a statement defines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ...compute.joined import JOINED
from ...compute.views import all_views, view_class
from ...store.errors import (
    BadName,
    BadSource,
    BelvedereError,
    DamagedObject,
    InputError,
    NameTaken,
    NamingError,
    QueryError,
    UnknownName,
)
from ...store.folder import Folder
from ..resolve import needed_inputs
from . import catalog

if TYPE_CHECKING:
    from ...compute.running.report import Progress, Report, Settings
    from ...store.views import View
    from ..engine import Engine

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,99}")
RESERVED = frozenset({"completeness", "arrays", "thumbnails", *JOINED})
"""Names of tables that only a published catalog, or a bundle, has."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a declared name stands for."""

    name: str
    """The name, as SQL calls the table."""
    view: str | None = None
    """The view that it is, with other parameters; None where a statement defines it."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The inputs that were named: model, images, texts."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parameters that were given."""
    sql: str | None = None
    """The statement that defines it."""

    @property
    def meaning(self) -> str:
        """What it stands for, in words."""
        if self.sql is not None:
            return self.sql
        given = {**self.inputs, **self.parameters}
        return f"{self.view} with {', '.join(f'{name}={value}' for name, value in given.items())}"


def find(folder: Folder, name: str) -> Declaration | None:
    """Give what a name was declared as; None where it was not."""
    if name in all_views() or name in catalog.COLUMNS or not _NAME.fullmatch(name):
        return None
    return Declaration(**facts) if (facts := folder.names.declared(name)) else None


def every(folder: Folder) -> list[Declaration]:
    """List all declarations by name."""
    found = (find(folder, name) for name in folder.names.names("declared"))
    return [each for each in found if each is not None]


def declare(engine: Engine, asked: Declaration, *, replace: bool) -> None:
    """Let a name stand for a view or a statement; see `Store.declare`."""
    _check_name(asked.name)
    _check(engine, asked)
    names = engine.folder.names
    while True:
        after = names.version("declared", asked.name)
        before = find(engine.folder, asked.name)
        if before is not None and before != asked and not replace:
            raise NameTaken(
                f"{asked.name!r} was declared as {before.meaning}; take another name, or replace=True "
                "(--replace)"
            )
        if before == asked or names.put_declared(asked.name, asdict(asked), after):
            return


def drop(engine: Engine, name: str, *, dry_run: bool) -> Declaration:
    """Let a declared name stand for nothing any more; see `Store.drop`."""
    found = find(engine.folder, name)
    if found is None:
        known = engine.folder.names.names("declared")
        raise UnknownName("declared view", name, known, "belvedere declare makes one")
    users = [each.name for each in every(engine.folder) if name in tables_of(each)]
    if users:
        raise BadSource(f"{', '.join(users)} is made from {name!r}; drop that first")
    if not dry_run:
        engine.folder.names.remove("declared", name)
    return found


def views_of(engine: Engine, declaration: Declaration) -> list[View]:
    """List the views that a declared name stands for: one, or those that were filled of several."""
    if declaration.sql is not None:
        from .defined import defined

        return [defined(engine, declaration.name, declaration.sql)]
    from .combinations import Filled, instances

    cls = view_class(str(declaration.view))
    found = instances(engine, cls, declaration.inputs, declaration.parameters)
    filled = Filled(engine.folder)
    return found if len(found) == 1 else [view for view in found if filled.has(view)]


Usable = tuple[Declaration, "list[View] | BelvedereError"]
"""A declaration with its views, or with the error where it cannot be used any more."""


def usable(engine: Engine, names: Collection[str] = ()) -> Iterator[Usable]:
    """Give declarations, all or those that are named, with their views or the error where there is one.

    What a declaration names may be removed, or stand for something else by now.
    """
    for each in every(engine.folder):
        if names and each.name not in names:
            continue
        try:
            yield each, views_of(engine, each)
        except (NamingError, InputError, QueryError, DamagedObject) as error:
            yield each, error


def refresh(
    engine: Engine, names: Sequence[str], settings: Settings, progress: Progress
) -> dict[str, Report]:
    """Bring declared views up to date; see `Store.refresh`."""
    known = {each.name: each for each in every(engine.folder)}
    for name in names:
        if name not in known:
            raise UnknownName("declared view", name, known, "belvedere declare makes one")
    found, broken = {}, list[BelvedereError]()
    for each, views in usable(engine, names):
        if isinstance(views, BelvedereError):
            broken.append(views)
            continue
        units = [unit for view in views for unit in view.units]
        found[each.name] = engine.fill(units, settings, progress)
    if broken:  # the others are up to date
        raise broken[0]
    return found


def tables_of(declaration: Declaration) -> frozenset[str]:
    """List the tables that the statement of a declaration names."""
    from . import duck

    return frozenset() if declaration.sql is None else duck.parse(declaration.sql).tables


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name!r} cannot name a declared view, which is a table in SQL: it has small letters, digits "
            "and '_', and does not start with a digit"
        )
    from . import duck

    if duck.is_reserved(name):
        raise BadName(f"{name!r} is a word of SQL, and cannot name a table; take another name")
    if name in all_views() or name in catalog.COLUMNS or name in RESERVED:
        raise NameTaken(
            f"{name!r} is a {'view' if name in all_views() else 'table'} already; take another name"
        )


def _check(engine: Engine, asked: Declaration) -> None:
    """Refuse what could not be asked for later, now."""
    if (asked.view is None) == (asked.sql is None):
        raise BadSource("declare a view with parameters, or a statement (sql=…, --as): one of the two")
    if asked.view is not None:
        _check_view(engine, asked)
        return
    if asked.inputs or asked.parameters:
        raise BadSource("a statement names its inputs and filters itself: WHERE model = …")
    if asked.name in _beneath(engine.folder, asked):
        raise QueryError(f"{asked.name!r} would be made from itself")
    from .defined import defined

    defined(engine, asked.name, str(asked.sql))  # whether it can be answered at all


def _beneath(folder: Folder, declaration: Declaration) -> set[str]:
    """List the tables that a declaration is made from, through those that are declared themselves."""
    seen: set[str] = set()
    left = [declaration]
    while left:
        for name in tables_of(left.pop()) - seen:
            seen.add(name)
            found = find(folder, name)
            left += [] if found is None else [found]
    return seen


def _check_view(engine: Engine, asked: Declaration) -> None:
    from .combinations import instances

    cls = view_class(str(asked.view))
    if not cls.columns:
        raise QueryError(
            f"{cls.name()} holds an array, which SQL does not show, so no table can be declared of it"
        )
    unknown = [kind for kind in asked.inputs if kind not in needed_inputs(cls)]
    if unknown:
        raise UnknownName(f"input of {cls.name()}", unknown[0], needed_inputs(cls))
    instances(engine, cls, asked.inputs, asked.parameters)

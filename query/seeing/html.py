"""What a notebook shows of stores, views, plans and answers; nothing is computed or warned by showing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...store.markup import FAILED, READY, STALE, bar, box, faint, line, table, title, value, warning

if TYPE_CHECKING:
    from ..lazy.array import LazyArray
    from ..lazy.table import LazyTable
    from ..plan import Plan
    from ..sql.answer import Answer
    from ..store import Store
    from ..upkeep.status import Status

ROWS = 20
"""So many rows of an answer are fetched and shown."""


def of_store(store: Store) -> str:
    """Show what a store's names stand for, and how much is kept of each view that was ever filled."""
    names = store._engine.folder.names
    rows = []
    for name in names.models():
        model = names.model(name)
        shape = model.shape
        what = f"{shape.layers} layers of {shape.heads} heads, {shape.joint} dimensions, {model.precision}"
        rows.append(("model", name, what, model.source))
    sets = [("images", names.image_set(name)) for name in names.image_sets()]
    texts = [("texts", names.text_set(name)) for name in names.text_sets()]
    rows += [(kind, each.name, f"{len(each):,}", each.source) for kind, each in (*sets, *texts)]
    parts = [title(store.path.name, str(store.path))]
    if rows:
        parts.append(table((), [[faint(kind), *map(value, rest)] for kind, *rest in rows]))
    else:
        parts.append(line("nothing is added yet: add_model, add_images, add_texts"))
    kept = store.status()
    if kept:
        states = [[value(each.view), _units(each), value(size(each.bytes))] for each in kept]
        parts.append(table(("view", "units", "kept"), states, {2}))
    elif rows:
        parts.append(line("no view was filled yet"))
    return box(*parts)


def of_array(array: LazyArray) -> str:
    """Show an array's axes, its data type, and how much of it is kept."""
    status = array.status()
    axes = table(array.dims, [[value(f"{length:,}") for length in array.shape]])
    kind = f"{array.dtype}, {size(array.nbytes)} in memory, {size(status.bytes)} kept"
    return box(title(status.view), axes, line(kind), _state(status))


def of_table(rows: LazyTable) -> str:
    """Show a table's columns with their types, and how much of it is kept."""
    status = rows.status()
    schema = rows._schema()
    columns = table(schema.names, [[faint(str(kind)) for kind in schema.types]])
    text, params = rows._condition.text, rows._condition.params
    condition = f"where {text}{f' with {list(params)}' if params else ''}"
    return box(title(status.view, condition if text else ""), columns, _state(status))


def of_plan(plan: Plan) -> str:
    """Show what would be computed."""
    if not plan.steps:
        return box(line(str(plan)))
    counts = [[value(view), value(f"{count:,}")] for view, count in plan.by_view().items()]
    first, *_ = str(plan).split("\n")
    rest = str(plan).split("\n")[1 + len(counts) :]
    progress = bar(plan.wanted, (plan.reused, READY))
    return box(
        f"<div>{progress} {value(first)}</div>", table(("view", "units"), counts, {1}), *map(line, rest)
    )


def of_answer(answer: Answer) -> str:
    """Show the first rows of an answer, and what it lacks; an incomplete one is told, not warned about."""
    rows = answer._rows.first(ROWS)
    count, columns = len(answer), answer.columns
    shown = f"the first {len(rows)} of {count:,} rows" if count > len(rows) else _many(count, "row")
    state = answer.completeness
    note = line("complete") if state.complete else warning(f"incomplete: {state}")
    cells = [[value(each) for each in row] for row in rows]
    return box(table(columns, cells, numeric(rows)), line(shown), note)


def _state(status: Status) -> str:
    causes = [warning(cause) for cause in status.causes]
    return f"<div>{_units(status)}</div>{''.join(causes)}"


def _units(status: Status) -> str:
    """Draw the units of a view, and count them in words."""
    parts = ((status.ready, READY), (status.stale, STALE), (status.failed, FAILED))
    words = [f"{status.ready:,} of {_many(status.units, 'unit')} ready"]
    counts = {"missing": status.missing, "stale": status.stale, "failed": status.failed}
    words += [f"{count:,} {what}" for what, count in counts.items() if count]
    words += [f"{_many(status.absent, 'row')} absent"] if status.absent else []
    return f"{bar(status.units, *parts)} {value(', '.join(words))}"


def numeric(rows: Sequence[Sequence[Any]]) -> set[int]:
    """List the places of the columns that hold numbers and nothing else but NULL."""
    kinds = [{type(each) for each in column} - {type(None)} for column in zip(*rows, strict=True)]
    return {place for place, kind in enumerate(kinds) if kind and kind <= {int, float, Decimal}}


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Write a number of bytes.

    >>> size(8_192_000), size(12)
    ('8.2 MB', '12 bytes')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"

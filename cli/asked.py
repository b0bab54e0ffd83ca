"""The view that `fill` and `plan` are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..query.lazy import Lazy
    from ..query.store import Store

where_option = click.option(
    "--where",
    metavar="SQL",
    help="Only the units that can have rows for which this holds; for views that are tables.",
)


def asked(
    store: Store,
    view: str,
    where: str | None,
    *,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: Mapping[str, str],
) -> Lazy[Any]:
    """Find the view, narrowed where a condition is given."""
    from ..query.lazy_table import LazyTable
    from ..query.named import values_of
    from ..query.resolve import of_heads
    from ..store.errors import QueryError

    given = values_of(store._engine, view, values)
    found: Lazy[Any] = store.view(view, model=model, images=images, texts=texts, **given)
    if where is None:
        return found
    if not isinstance(found, LazyTable):
        raise click.UsageError(f"--where narrows views that are tables, and {view} is an array")
    try:
        return found.where(where)
    except QueryError as error:
        if of_heads(type(found._view)):
            hint = f"--where is about rows of {view}, and heads are chosen by -p heads CONDITION"
            raise click.UsageError(f"{error}\n{hint}") from error
        raise

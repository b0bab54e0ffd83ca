"""The view that `fill` and `plan` are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..query.lazy.view import Lazy
    from ..query.store import Store
    from ..store.views import View

where_option = click.option(
    "--where",
    metavar="SQL",
    help="Only the units that can have rows for which this holds; for views that are tables. Of views that "
    "take a condition on heads, such as ablations, that condition.",
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
    """Find the view, narrowed where a condition is given.

    Of a view that takes a condition on heads it is that, where it does not speak of the view's own rows.
    """
    from ..query.lazy.table import LazyTable
    from ..query.named import values_of
    from ..query.resolve import of_heads
    from ..store.errors import QueryError

    given = values_of(store._engine, view, values)
    found: Lazy[Any] = store.view(view, model=model, images=images, texts=texts, **given)
    if where is None:
        return found
    cls: type[View] = type(found._view)
    heads = [each for each in of_heads(cls) if each not in given]
    if not isinstance(found, LazyTable) and not heads:
        raise click.UsageError(f"--where narrows views that are tables, and {view} is an array")
    if isinstance(found, LazyTable):
        try:
            return found.where(where)
        except QueryError:
            if not heads:
                raise
    found = store.view(view, model=model, images=images, texts=texts, **given, **{heads[0]: where})
    return found

"""Rows that name images, such as an SQL answer's, as a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource, UnknownName
from .sheet import MOST, ContactSheet, Row, Tile
from .thumbnails import image_or_why

if TYPE_CHECKING:
    import pandas as pd

    from ..store import Store


def contact_sheet(
    store: Store, rows: pd.DataFrame, *, by: Sequence[str], caption: Sequence[str], title: str, subtitle: str
) -> ContactSheet:
    """Show the images of rows; see `Store.contact_sheet`."""
    for name in ("image_set", "image_id", *by, *caption):
        if name not in rows.columns:
            raise UnknownName("column of these rows", name, [str(each) for each in rows.columns])
    if not 0 < len(rows) <= MOST:
        raise BadSource(f"a contact sheet has from 1 to {MOST} images, not {len(rows):,}; narrow the rows")
    if not by:
        return ContactSheet([Row([tiles(store, rows, caption)])], title, subtitle)
    groups = rows.groupby(list(by), sort=False, dropna=False)
    made = [
        Row([tiles(store, group, caption)], ", ".join(filter(None, map(shown, values))))
        for values, group in groups
    ]
    return ContactSheet(made, title, subtitle)


def tiles(store: Store, rows: pd.DataFrame, caption: Sequence[str]) -> list[Tile]:
    """Make a tile of each row, with the values of some columns below it, one a line."""
    return [
        Tile(image_or_why(store, row["image_set"], row["image_id"]), _caption(row, caption))
        for row in rows.to_dict("records")
    ]


def _caption(row: Mapping[Any, Any], columns: Sequence[str]) -> str:
    return "\n".join(filter(None, (shown(row[name]) for name in columns)))


def shown(value: Any) -> str:
    """Write a value as short as a caption wants it; nothing for what is missing.

    >>> shown(0.12), shown(12), shown(float("nan")), shown("star")
    ('0.120', '12', '', 'star')
    """
    import pandas as pd

    if value is None or pd.isna(value):
        return ""
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else str(value)

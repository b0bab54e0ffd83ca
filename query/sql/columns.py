"""The columns that SQL shows of a view, whatever it is asked of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from ...compute.views import view_class
from ...store.parts import schema
from ...store.sets import Classes, Clip, Instrument
from ...store.views import View
from ..resolve import COLUMN_OF, needed_inputs, registered

if TYPE_CHECKING:
    import pyarrow as pa

    from ...compute.joined import Joined


@cache
def columns_of(cls: type[View]) -> dict[str, str]:
    """Give the columns of a view and their types: its inputs, its own, the instruments beneath it."""
    inputs = [COLUMN_OF[kind] for kind in needed_inputs(cls)]
    return {
        **dict.fromkeys(inputs, "string"),
        **cls.columns,
        **dict.fromkeys(registered_beneath(cls), "string"),
    }


def table_schema(cls: type[View]) -> pa.Schema:
    """Give the columns of a view as Arrow has them."""
    return schema(columns_of(cls))


def joined_columns(joined: Joined) -> tuple[str, ...]:
    """Give the columns of a name for several views: what they share, then the instruments of any."""
    each = (name for view in joined.views.values() for name in registered_beneath(view_class(view)))
    return tuple(dict.fromkeys((*joined.columns, *each)))


def registered_beneath(cls: type[View]) -> tuple[str, ...]:
    """List the columns that name instruments, models or classes, whichever views its parameters pick."""
    named = (name for each in _picked(cls) for name, kind in registered(each).items() if _is_one(kind))
    return tuple(dict.fromkeys(named))


def _is_one(kind: type) -> bool:
    """Tell instruments, models by which things are compared, and classes from other sets of texts."""
    return issubclass(kind, Clip | Instrument | Classes)


def _picked(cls: type[View]) -> Iterator[type[View]]:
    """List the classes that the parameters of a class can pick; itself where none picks any."""
    choices = cls.choices()
    for values in product(*choices.values()):
        yield cls.picked(dict(zip(choices, values, strict=True)))

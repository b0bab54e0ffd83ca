"""Belvedere keeps what has been learnt about a vision model, and shows it as views.

A name is lazy: views are computed when somebody first looks, kept from then on, and never silently stale
or half there.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .query.answer import Answer, IncompleteAnswer
    from .query.lazy_array import LazyArray
    from .query.lazy_table import LazyTable
    from .query.store import Store
    from .store.errors import BelvedereError
    from .store.tracing import trace

__all__ = ["Answer", "BelvedereError", "IncompleteAnswer", "LazyArray", "LazyTable", "Store", "open", "trace"]
__version__ = "0.1.0"

_HOMES = {
    "Answer": "query.answer",
    "BelvedereError": "store.errors",
    "IncompleteAnswer": "query.answer",
    "LazyArray": "query.lazy_array",
    "LazyTable": "query.lazy_table",
    "Store": "query.store",
    "trace": "store.tracing",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `belvedere --help` waits for no library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def open(path: str | os.PathLike[str], mode: Literal["a", "r"] = "a") -> Store:  # noqa: A001  as in h5py, zarr
    """Open a store, a folder; with mode "a" a new one is made where there is none.

    Raises:
        NotAStore: The folder holds other things, or with mode "r" no store.
        BadSource: Another mode than these two.
        NewerFormat: The store was written by a later version in a format that this one cannot read.
    """
    from .query.store import Store

    return Store(path, mode)

"""Belvedere keeps what has been learnt about a vision model, and shows it as views.

A name is lazy: views are computed when somebody first looks, kept from then on, and never silently stale
or half there.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .compute.language.allowance import Allowance
    from .query.lazy.array import LazyArray
    from .query.lazy.table import LazyTable
    from .query.sql.answer import Answer, IncompleteAnswer
    from .query.store import Store
    from .store.errors import BelvedereError
    from .store.tracing import trace

__all__ = ["Allowance", "Answer", "BelvedereError", "IncompleteAnswer", "LazyArray", "LazyTable", "Store", "open", "trace"]
__version__ = "0.1.0"

_HOMES = {
    "Allowance": "compute.language.allowance",
    "Answer": "query.sql.answer",
    "BelvedereError": "store.errors",
    "IncompleteAnswer": "query.sql.answer",
    "LazyArray": "query.lazy.array",
    "LazyTable": "query.lazy.table",
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


def open(  # noqa: A001  as in h5py, zarr
    path: str | os.PathLike[str], mode: Literal["a", "r"] = "a", *, memory: bool = False
) -> Store:
    """Open a store, a folder; with mode "a" a new one is made where there is none.

    Args:
        path: The folder.
        mode: "a" to read and fill, "r" to read.
        memory: With mode "r", compute what is missing and keep it in memory until the store is closed, all
            of it and without a bound; what is on disk is read and not touched.

    Raises:
        NotAStore: The folder holds other things, or with mode "r" no store.
        BadSource: Another mode than these two, or memory=True with mode "a".
        NewerFormat: The store was written by a later version in a format that this one cannot read.
        OlderFormat: It was written by an earlier version, in a format that is no longer read.
        DamagedObject: Its marker is not as it was written.
    """
    from .query.store import Store

    return Store(path, mode, memory=memory)

"""Libraries that are optional, each brought by an extra of the package."""

from __future__ import annotations

import importlib
from typing import Any, Literal

from .errors import MissingExtra

Extra = Literal["bert_score", "datasets", "h5py", "polars", "sentence_transformers", "xarray"]
_BROUGHT_BY = {"bert_score": "judges", "h5py": "masks", "sentence_transformers": "judges"}
"""The extras of libraries that are not called as their extra is."""


def extra(library: Extra) -> Any:
    """Import an optional library; `MissingExtra` says how to install it where it is not there."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:  # it is there, and something that it needs is not
            raise
        raise MissingExtra(library, _BROUGHT_BY.get(library)) from error

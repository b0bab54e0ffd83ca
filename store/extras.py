"""Libraries that are optional, each an extra of the package under its own name."""

from __future__ import annotations

import importlib
from typing import Any, Literal

from .errors import MissingExtra

Extra = Literal["datasets", "polars", "xarray"]


def extra(library: Extra) -> Any:
    """Import an optional library; `MissingExtra` says how to install it where it is not there."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:  # it is there, and something that it needs is not
            raise
        raise MissingExtra(library) from error

"""One file a method that says which patches of an image decide how like a text it is; the names of all."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .watching import Seen

GRADIENTS: Mapping[str, bool] = MappingProxyType(
    {
        "lrp": False,
        "partial_lrp": False,
        "rollout": False,
        "raw_attention": False,
        "gradcam": True,
        "chefer": True,
    }
)
"""The methods, each the file of its name, and whether it needs gradients of the attention."""


def method(name: str) -> Callable[[Seen], Tensor]:
    """Give what a method makes of a batch that was watched: the relevance of each patch, "image patch"."""
    found: Callable[[Seen], Tensor] = importlib.import_module(f".{name}", __name__).relevance
    return found

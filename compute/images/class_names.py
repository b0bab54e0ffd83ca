"""What the classes of a data set are called, each by a name of its own."""

from __future__ import annotations

from collections import Counter
from typing import Any


def class_names(source: Any) -> list[str] | None:
    """Name the classes of a data set as torchvision's have them, in order; None where it does not name any.

    Of a class with several names these stand with commas. Classes of one name, as ImageNet's two cranes, are
    told apart by their WordNet numbers (`source.wnids`), or else by their places.
    """
    classes = getattr(source, "classes", None)
    if classes is None:
        return None
    names = [", ".join(each) if isinstance(each, tuple | list) else str(each) for each in classes]
    ids, times = getattr(source, "wnids", None) or range(len(names)), Counter(names)
    return [f"{name} ({each})" if times[name] > 1 else name for name, each in zip(names, ids, strict=True)]

"""Pictures that are in memory, such as torchvision's data sets give: kept in the store as PNG, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import index, length_hint
from typing import Any

from PIL import Image

from ...store.errors import BadSource, UnreadablePicture
from .class_names import class_names
from .decoding import measure, to_png
from .found import Found, Tick
from .pictures import Pictures

InMemory = Iterable[Image.Image] | Iterable[tuple[Image.Image, Any]]
"""Pictures, or pairs of a picture and its label."""
_GIVE = "pictures in memory are PIL images or pairs (PIL image, label)"


def items(source: Any) -> Iterator[Any]:
    """Go through a source, also through one that has a length and places, and no iterator."""
    if not isinstance(source, Iterable) and hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[place] for place in range(len(source)))
    try:
        return iter(source)
    except TypeError as error:
        raise BadSource(f"{type(source).__name__} is no source of images; {_GIVE}") from error


def keep(pairs: Iterable[Any], source: Any, pictures: Pictures, tick: Tick) -> list[Found]:
    """Keep each picture under the digest of its PNG; equal ones are as many rows.

    Args:
        pairs: The pictures, or pairs of a picture and a label.
        source: Where they come from: an integer label is the place of its name in `source.classes`, where
            the source has these, as torchvision's data sets do.
        pictures: The pictures of the store.
        tick: Told how many of how many are kept.

    Raises:
        BadSource: One is neither a picture nor a pair, or cannot be kept; what it says has the row.
    """
    classes, total = class_names(source), length_hint(source)
    times: Counter[str] = Counter()
    found = []
    for row, item in enumerate(pairs):
        picture, label = _pair(item, row)
        try:
            data = to_png(picture)
        except UnreadablePicture as error:
            raise BadSource(f"picture {row} cannot be kept: {error}") from error
        path = pictures.keep(data)
        times[path] += 1
        place = path if times[path] == 1 else f"{path}/{times[path]}"
        width, height = measure(data) or (None, None)
        sizes = {"width": width, "height": height, "size": len(data), "modified": None}
        facts = {"digest": path.partition(":")[2], **sizes}
        found.append(Found(place, _label(label, classes, row), facts=facts))
        tick(len(found), max(total, len(found)))
    return found


def _pair(item: Any, row: int) -> tuple[Image.Image, Any]:
    """Tell a picture from a pair of a picture and its label."""
    if isinstance(item, Image.Image):
        return item, None
    if isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], Image.Image):
        return item[0], item[1]
    raise BadSource(
        f"picture {row} is {_kind(item)}; {_GIVE} (leave transforms to tensors out; of a Hugging Face data "
        "set give the folder that save_to_disk wrote)"
    )


def _kind(item: Any) -> str:
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {', '.join(type(each).__name__ for each in item)}"
    return f"a {type(item).__name__}"


def _label(label: Any, classes: Sequence[str] | None, row: int) -> str | None:
    """Write a label as text; an integer by the name of its class, where the source names its classes."""
    if label is None or isinstance(label, str):
        return label or None
    try:
        place = index(label)
    except TypeError as error:
        raise BadSource(
            f"the label of picture {row} is a {type(label).__name__}; labels are text or integers"
        ) from error
    return classes[place] if classes is not None and 0 <= place < len(classes) else str(place)

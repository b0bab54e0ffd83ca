"""Where the patches of a vision tower lie: their grid, and the part of a picture that it covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...store.errors import UnsupportedTower
from ...store.sets import Model
from .geometry import Window

Facts = Mapping[str, Any]


def grid_of(model: Model) -> tuple[int, int]:
    """Give how many rows and columns of patches a tower has; `UnsupportedTower` where they lie nowhere."""
    shape = model.shape
    if shape.grid is None:
        raise UnsupportedTower(
            model.name,
            f"its {shape.tokens - shape.prefix} patches are in no known order; if it was added by an earlier "
            "version, add it again (--replace)",
        )
    return shape.grid


def input_size(model: Model) -> tuple[int, int]:
    """Give the height and width in pixels of what a model's preprocessing makes of every picture."""
    height, width = _pair(_preprocessing(model)["size"])
    return height, width


def seen_part(model: Model, width: int, height: int) -> Window:
    """Find the part of pictures of a size, in pixels, that a model sees; it reaches beyond where it pads.

    Known from the facts of open_clip's preprocessing, to the pixel of the resized picture, so that no model
    is loaded: `shortest` resizes the shortest side and cuts the middle out, `squash` resizes both sides,
    `longest` resizes the longest side and pads. Raises `UnsupportedTower` for any other preprocessing, and
    where patches do not cover all of what they are cut from.
    """
    facts = _preprocessing(model)
    wanted = _pair(facts["size"])
    mode = facts.get("resize_mode") or "shortest"
    if mode == "squash":
        return Window(0, 0, width, height)
    resized = _resized((height, width), wanted, mode)
    (top, bottom), (left, right) = (
        _kept(length, most, side) for length, most, side in zip(resized, wanted, (height, width), strict=True)
    )
    return Window(left, top, right, bottom)


def _preprocessing(model: Model) -> Facts:
    facts: Facts = model.image.get("preprocessing", {})
    if "size" not in facts or (facts.get("resize_mode") or "shortest") not in (
        "shortest",
        "squash",
        "longest",
    ):
        listed = ", ".join(f"{key}={value!r}" for key, value in sorted(facts.items()))
        raise UnsupportedTower(
            model.name,
            "where in a picture its patches lie is known for open_clip's preprocessing only, and it has "
            f"{listed or 'none that is known'}",
        )
    _check_whole(model)
    return facts


def _check_whole(model: Model) -> None:
    """Refuse patches that leave a margin of the input uncovered: a map would be stretched over that, too."""
    vision = model.image.get("architecture", {}).get("vision_cfg", {})
    sides, patches = (_pair(vision.get(each)) for each in ("image_size", "patch_size"))
    if any(patch and side % patch for side, patch in zip(sides, patches, strict=True)):
        raise UnsupportedTower(
            model.name,
            f"its patches of {patches[0]} × {patches[1]} pixels do not cover its input of {sides[0]} × "
            f"{sides[1]}, so that a map of them cannot be laid on a picture",
        )


def _resized(sides: tuple[int, int], wanted: tuple[int, int], mode: str) -> tuple[int, int]:
    """Give the size, y before x, to which open_clip resizes a picture."""
    ratios = [side / most for side, most in zip(sides, wanted, strict=True)]
    if mode == "shortest" and wanted[0] == wanted[1]:  # torchvision's Resize, which cuts fractions off
        long = int(wanted[0] * max(sides) / min(sides))
        return (wanted[0], long) if sides[0] <= sides[1] else (long, wanted[0])
    ratio = max(ratios) if mode == "longest" else min(ratios)
    return round(sides[0] / ratio), round(sides[1] / ratio)


def _kept(length: int, wanted: int, side: int) -> tuple[float, float]:
    """Give the ends, in pixels of the picture, of what is cut out of a resized length or padded to it."""
    start = round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)
    return start * side / length, (start + wanted) * side / length


def _pair(value: Any) -> tuple[int, int]:
    """Read a size that is one number or two, y before x."""
    first, second = value if isinstance(value, list | tuple) else (value or 0, value or 0)
    return int(first), int(second)

"""How figures look: titles, plain axes, colours that stay apart in grey and for the colour-blind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..seeing.thumbnails import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#1b5e8c", "#e08e2b", "#4c9f70", "#b5446e", "#6a5acd", "#8d6e63", "#2aa6a6", "#7a7a7a")
"""Of lines and bars, in the order in which they are taken."""
QUIET = "#c3c9d0"
"""Of what is there to compare with."""


def titled(part: Any, title: str, told: str) -> None:
    """Write a title over a figure, or a part of one, and below it what else is to know."""
    part.text(0.015, 0.97, title, size=15, weight="bold", color=INK, va="top")
    height = part.get_figure().get_size_inches()[1]
    part.text(0.015, 0.97 - 0.34 / height, told, size=10, color=FAINT, va="top")


def plain(axes: Axes, title: str = "", *, grid: Literal["", "x", "y"] = "") -> None:
    """Take away what an axis does not need; `grid` is the axis that is read off: x or y."""
    for side in ("top", "right", *(("left", "bottom") if grid == "x" else ())):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=9.5, colors=INK)
    axes.set_title(title, size=11, weight="bold", color=INK, loc="left", pad=8)
    if grid:
        axes.grid(axis=grid, color="#e6e8eb", lw=0.8)
        axes.set_axisbelow(True)


def cut(text: str, most: int) -> str:
    """Shorten a text to so many letters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def differing(parameters: Mapping[str, Any]) -> str:
    """Say which parameters a figure has beside the defaults, after a comma; nothing where it has none.

    >>> differing({"mode": "zero", "draws": 3})
    ', mode=zero, draws=3'
    """
    return "".join(f", {name}={value}" for name, value in parameters.items())

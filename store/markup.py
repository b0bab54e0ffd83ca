"""HTML for notebooks: escaped, styled inline without a colour for text, so that light and dark pages suit."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

READY, STALE, FAILED = "#2f9e6e", "#d9921f", "#d64541"
"""Colours of units that are kept, made from something that has changed, could not be made."""
LONGEST = 160
"""Characters of a text in a cell; the rest is left out, and an ellipsis says so."""
NUMBERS = 4
"""Numbers of a list in a cell."""
_LINE = "1px solid rgba(128,128,128,.35)"
_BOX = (
    f"display:inline-block;max-width:100%;overflow-x:auto;box-sizing:border-box;border:{_LINE};"
    "border-radius:6px;padding:.5em .9em;line-height:1.5;text-align:left"
)
_CELL = "padding:.15em .8em .15em 0;border:0;background:none;vertical-align:top;max-width:40em"


def box(*parts: str) -> str:
    """Put parts into a frame of their own."""
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def title(text: str, aside: str = "") -> str:
    """Give a heading, and beside it what is less important."""
    return f"<div><b>{html.escape(text)}</b>{' ' + faint(aside) if aside else ''}</div>"


def line(text: str) -> str:
    """Give a line of text."""
    return f"<div>{html.escape(text)}</div>"


def faint(text: str) -> str:
    """Give text that steps back."""
    return f'<span style="opacity:.65">{html.escape(text)}</span>'


def warning(text: str) -> str:
    """Give a line that cannot be overlooked."""
    style = f"border-left:4px solid {STALE};background:rgba(217,146,31,.16);padding:.25em .7em;margin:.3em 0"
    return f'<div style="{style}">{html.escape(text)}</div>'


def bar(total: int, *parts: tuple[int, str]) -> str:
    """Draw how much of a total is what: counts with their colours from the left, the rest empty."""
    outer = "display:inline-block;width:9em;height:.7em;border-radius:.35em;overflow:hidden;"
    widths = [f"{100 * count / total:.4g}%" if total else "0" for count, _ in parts]
    inner = "".join(
        f'<span style="display:inline-block;height:100%;width:{width};background:{colour}"></span>'
        for width, (count, colour) in zip(widths, parts, strict=True)
        if count
    )
    style = (
        f"{outer}background:rgba(128,128,128,.28);line-height:0;vertical-align:baseline;white-space:nowrap"
    )
    return f'<span style="{style}">{inner}</span>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lay out cells, which are HTML, under names of columns, which are not; no names, no header.

    The columns whose places are in `right` stand to the right, as numbers do.
    """
    style = "border-collapse:collapse;border:0;margin:.3em 0;font-size:inherit"
    strong = f";font-weight:600;border-bottom:{_LINE}"
    head = _row("th", [html.escape(name) for name in columns], right, strong) if columns else ""
    body = "".join(_row("td", row, right) for row in rows)
    return f'<table style="{style}"><thead>{head}</thead><tbody>{body}</tbody></table>'


def _row(tag: str, cells: Sequence[str], right: Collection[int], more: str = "") -> str:
    sides = ["right" if place in right else "left" for place in range(len(cells))]
    row = "".join(
        f'<{tag} style="text-align:{side};{_CELL}{more}">{cell}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f'<tr style="background:none">{row}</tr>'


def value(what: Any) -> str:
    """Write a value for a cell: floats to four digits, long texts and lists shortened.

    >>> value(0.123456), value("<b>"), value([1.0, 2.5, 3.0, 4.0, 5.0])
    ('0.1235', '&lt;b&gt;', '[1, 2.5, 3, 4, … of 5]')
    """
    return faint("NULL") if what is None else html.escape(_short(what))


def _short(what: Any) -> str:
    if isinstance(what, float):
        return f"{what:.4g}" if math.isfinite(what) else str(what)
    if isinstance(what, list | tuple):
        shown = [_short(each) for each in what[:NUMBERS]]
        more = [f"… of {len(what)}"] if len(what) > NUMBERS else []
        return f"[{', '.join([*shown, *more])}]"
    text = str(what)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

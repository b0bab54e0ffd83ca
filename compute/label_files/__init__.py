"""Files of labels that others made: one file for each family of formats, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping

from ...store.errors import BadSource, UnknownName
from . import cosy, descriptions, dnd, falcon, invert, netdissect, ratings
from .entries import Adapter
from .sheet import Sheet

ADAPTERS: Mapping[str, Adapter] = {
    each.name: each
    for each in (
        dnd.ADAPTER,
        descriptions.CLIP_DISSECT,
        descriptions.MILAN,
        descriptions.MILANNOTATIONS,
        netdissect.ADAPTER,
        invert.ADAPTER,
        falcon.ADAPTER,
        cosy.ADAPTER,
        ratings.HUMAN,
        ratings.LONG,
    )
}
"""The formats, by name."""


def choose(sheet: Sheet, name: str | None) -> Adapter:
    """Give the format of that name or, without one, the only one whose header this is.

    Raises `UnknownName` for a name that is none, and `BadSource` where the file lacks a column of the format,
    or where it is not plain which format it has.
    """
    if name is not None:
        if name not in ADAPTERS:
            raise UnknownName("format of label files", name, ADAPTERS)
        lacking = ADAPTERS[name].lacks(sheet.columns)
        if lacking:
            raise BadSource(
                f"{sheet.path} is no file of {name}: it has {_listed(sheet.titles)}, and no {lacking[0]}"
            )
        return ADAPTERS[name]
    fitting = [each for each in ADAPTERS.values() if each.fits(sheet.columns)]
    likely = [each for each in fitting if each.also_like is None or "similarity" in sheet.columns]
    if len(likely) == 1:
        return likely[0]
    if fitting:
        names = " and ".join(each.name for each in fitting)
        raise BadSource(
            f"the header of {sheet.path} is that of {names}; say which: format={fitting[0].name!r} "
            f"(--format {fitting[0].name})"
        )
    raise BadSource(
        f"{sheet.path} has the header {_listed(sheet.titles)}, which is of no format that is known for sure; "
        f"say which it is with format=… (--format): {', '.join(ADAPTERS)}"
    )


def _listed(titles: tuple[str, ...]) -> str:
    more = f", … ({len(titles)} columns)" if len(titles) > 8 else ""
    return ", ".join(titles[:8]) + more

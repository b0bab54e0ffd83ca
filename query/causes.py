"""What changed between the recipe by which units were made and the one asked for, in people's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..compute.heads.head_sets import conditions
from ..store import digest
from ..store.sets import ImageSet, TextSet
from ..store.views import View

Recipe = Mapping[str, Any]
MOST = 4
"""So many details are told of one change, and so many settings beside those asked for."""


def same_question(recipe: Recipe, view: View) -> bool:
    """Tell whether a recipe is of what is asked for with a view: no parameter was another one.

    A parameter that the view had not yet, when it was made, was at its default.
    """
    before, defaults = recipe["parameters"], {field.name: field.default for field in view.fields()}
    now = view.recipe["parameters"]
    if any(now[name] != (before[name] if name in before else defaults.get(name)) for name in now):
        return False
    if [*conditions(recipe)] != [*conditions(view.recipe)]:
        return False
    beneath = ((recipe["inputs"].get(name), each) for name, each in view.inputs().items())
    return all(
        same_question(old, each)
        for old, each in beneath
        if isinstance(each, View) and old is not None and old.get("view") == each.name()
    )


def changes(before: Recipe, now: Recipe) -> list[str]:
    """Say field by field why units of one recipe are none of another that answers the same question.

    >>> recipe = {"view": "letters", "version": 1, "parameters": {}, "inputs": {}}
    >>> changes(recipe, {**recipe, "version": 2, "parameters": {"case": True}})
    ['view version of letters changed: 1 → 2', 'parameters of letters changed: case is new (True)']
    """
    return list(dict.fromkeys(_changes(before, now)))


def _changes(before: Recipe, now: Recipe) -> Iterator[str]:
    if before.get("view") != now.get("view"):
        yield f"made from {now.get('view', 'a model')} now, and before from {before.get('view', 'a model')}"
        return
    if "view" not in now:
        yield from _of_model(before, now)
        return
    name = now["view"]
    for field, said in (("version", "view version"), ("package", "package")):
        if before.get(field) != now.get(field):
            yield f"{said} of {name} changed: {before.get(field)} → {now.get(field)}"
    old, new = before["parameters"], now["parameters"]
    found = [f"{each} is new ({new[each]})" for each in new if each not in old]
    found += [f"{each}={old[each]} is no more" for each in old if each not in new]
    found += [f"{each} {old[each]} → {new[each]}" for each in new if each in old and old[each] != new[each]]
    if found:
        yield f"parameters of {name} changed: {_few(found)}"
    for field in dict.fromkeys((*before["inputs"], *now["inputs"])):
        yield from _changes(before["inputs"].get(field, {}), now["inputs"].get(field, {}))


_OF_SIDE = ("weights", "architecture")
"""What the two sides of a model have each for itself."""
APPENDED = "appended"
"""What is said of sets that have grown."""
_SAID = {"decoding": "decoding of pictures", "imported": "imported numbers"}


def _of_model(before: Recipe, now: Recipe) -> Iterator[str]:
    """Say which of a model's facts differ, each with its details: `preprocessing changed: size 8 → 16`."""
    details: dict[str, list[str]] = {}
    for difference in digest.differences(before, now):
        place, _, values = difference.partition(" changed: ")
        field, _, inner = place.partition(".")
        details.setdefault(field, []).append(f"{inner} {values}".strip())
    for field, found in sorted(details.items(), key=lambda item: item[0] != "weights"):
        side = " of the text side" if "tokenizer" in now and field in _OF_SIDE else ""
        yield f"{_SAID.get(field, field)}{side} changed: {_few(found)}"


def contents_changed(view: View, covers: Mapping[str, Any]) -> list[str]:
    """Say how the images or texts differ from those that a unit was made from."""
    found = []
    for source in view.sources():
        before = covers.get(source.column)
        if not isinstance(source, ImageSet | TextSet) or not isinstance(before, dict):
            continue
        count, now = int(before["count"]), len(source)
        what = "images" if isinstance(source, ImageSet) else "texts"
        if source.all_contents == before["contents"]:
            continue
        if now > count and source.contents(0, count) == before["contents"]:
            found.append(f"{what} {APPENDED}: {count} → {now}")
        else:
            found.append(f"{what} of {source.name!r} changed")
    return found


def other_settings(recipes: Sequence[Recipe], view: View) -> list[str]:
    """Say with which other parameters units were made, where none was made with those asked for."""
    now, found = flat(view.recipe), list[str]()
    for recipe in recipes:
        before = flat(recipe)
        differing = [each for each in now if each in before and before[each] != now[each]]
        if differing:
            asked, there = (_written(each, differing) for each in (now, before))
            found.append(f"never made with {asked}; kept is what was made with {there}")
    more = [f"… and what was made in {len(found) - MOST} other ways"] if len(found) > MOST else []
    return [*found[:MOST], *more]


def flat(recipe: Recipe) -> dict[str, Any]:
    """Give the parameters of a recipe and of all beneath; one name is one parameter, as it is when asked."""
    found = dict(recipe["parameters"])
    for each in recipe["inputs"].values():
        if "view" in each:
            found = {**flat(each), **found}
    return found


def _written(parameters: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={parameters[name]}" for name in names)


def _few(details: Sequence[str]) -> str:
    more = f", and {len(details) - MOST} more" if len(details) > MOST else ""
    return f"{', '.join(details[:MOST])}{more}"

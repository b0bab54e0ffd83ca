"""Captions of scenes: sentences that name one attribute or several."""

import re
from collections.abc import Mapping, Sequence

from .dice import Dice
from .words import FORMS, LEADS, PROMPTS, WORDINGS

_ARTICLE = re.compile(r"\ba (?=[aeiou])(?!one|uni)")


def tidy(text: str) -> str:
    """Put "an" before vowels and single spaces between words."""
    return _ARTICLE.sub("an ", " ".join(text.split()))


def prompt(attribute: str, value: str) -> str:
    """Return the plain sentence for one value, as ``"a picture with red shapes"``.

    Raises:
        KeyError: There is no such attribute or value.
    """
    return tidy(PROMPTS[attribute].format(**FORMS[attribute][value][0]))


def phrase(attribute: str, value: str, wording: int, form: int) -> str:
    """Return the wording of this number about one value, named in the form of this number.

    Both numbers wrap around.
    """
    wordings, forms = WORDINGS[attribute], FORMS[attribute][value]
    return tidy(wordings[wording % len(wordings)].format(**forms[form % len(forms)]))


def single(attribute: str, value: str, dice: Dice) -> str:
    """Return a random wording about one value."""
    return phrase(attribute, value, dice.below(1 << 20), dice.below(1 << 20))


def sentence(named: Mapping[str, str], dice: Dice, *, leads: Sequence[str] = LEADS) -> str:
    """Return a random sentence that names exactly these attributes.

    Args:
        named: Values by attribute, any subset of the five.
        dice: Which words are chosen.
        leads: How it may begin.
    """
    words = {name: dice.pick(FORMS[name][value]) for name, value in named.items()}
    number = words.get("number", {}).get("number", "")
    texture, pattern = words.get("texture", {}).get("texture", ""), ""
    if texture and dice.below(3) == 0:
        texture, pattern = "", "with " + words["texture"]["pattern"]
    colour = words.get("colour", {}).get("colour", "")
    adjectives = (texture, colour) if dice.below(2) else (colour, texture)
    one, many = _noun(words.get("shape"), dice)
    noun = one if named.get("number") == "1" else many
    place = words.get("background", {}).get("place", "")
    return tidy(" ".join((dice.pick(leads), number, *adjectives, noun, pattern, place)))


def _noun(shape: Mapping[str, str] | None, dice: Dice) -> tuple[str, str]:
    if shape is not None:
        return shape["shape"], shape["shapes"]
    return dice.pick((("shape", "shapes"), ("object", "objects"), ("figure", "figures")))


def caption(attributes: Mapping[str, str]) -> str:
    """Return the full caption of a scene, as ``"three striped red stars in the night sky"``."""
    words = {name: FORMS[name][value][0] for name, value in attributes.items()}
    noun = words["shape"]["shape" if attributes["number"] == "1" else "shapes"]
    parts = (words["number"]["number"], words["texture"]["texture"], words["colour"]["colour"], noun)
    return tidy(" ".join((*parts, words["background"]["place"])))


def values_told(text: str) -> dict[str, frozenset[str]]:
    """Return for each attribute the values that a text names in the words of `caption`. Pure.

    >>> values_told("two plain red rings on snow")["shape"]
    frozenset({'ring'})
    """
    words = set(text.split())
    return {
        name: frozenset(value for value in values if words & _telling(name, value))
        for name, values in FORMS.items()
    }


def _telling(name: str, value: str) -> set[str]:
    """Return the words of captions that stand for one value alone."""
    slots = {"shape": ("shape", "shapes"), "background": ("place",)}.get(name, (name,))
    words = {word for slot in slots for word in FORMS[name][value][0][slot].split()}
    return words - {"in", "on", "the"}


def named_rightly(captions: Sequence[str], true: Sequence[str]) -> dict[str, float]:
    """Return for each attribute the share of captions that name what the true ones name, and no more.

    Args:
        captions: What was said.
        true: What `caption` says of the same pictures, or of a part of them.
    """
    pairs = [(values_told(said), values_told(text)) for said, text in zip(captions, true, strict=True)]
    return {name: sum(said[name] == text[name] for said, text in pairs) / len(pairs) for name in FORMS}

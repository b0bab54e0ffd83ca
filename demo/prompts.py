"""Prompts of scenes as a painter is asked for them: full captions, sentences, short noun phrases, nothing."""

from collections.abc import Mapping

from .captions import caption, prompt, sentence, single
from .dice import Dice
from .words import VALUES


def painter_prompt(attributes: Mapping[str, str], dice: Dice) -> str:
    """Return a random prompt that is true of a scene; what it does not mention is free.

    One in ten is empty, as guidance without a classifier wants it (Ho and Salimans 2022, section 3.2).

    Args:
        attributes: The five attributes of the scene.
        dice: Which prompt is chosen.
    """
    lot = dice.uniform(0, 1)
    if lot < 0.1:
        return ""
    if lot < 0.35:
        return caption(attributes)
    if lot < 0.5:
        return sentence(_some(attributes, 0.6, dice), dice)
    if lot < 0.75:
        return sentence(_some(attributes, 0.45, dice), dice, leads=("",))
    name = dice.pick(tuple(VALUES))
    return single(name, attributes[name], dice) if dice.below(2) else prompt(name, attributes[name])


def _some(attributes: Mapping[str, str], share: float, dice: Dice) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if dice.uniform(0, 1) < share}

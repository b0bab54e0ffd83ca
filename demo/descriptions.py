"""The description pool ``demo:scenes``: what the demo world shows, and what it never does."""

from .captions import phrase, prompt
from .scenes import BIAS
from .words import VALUES, WORDINGS

DISTRACTORS = (
    "a photo of a violin",
    "an old man reading a newspaper",
    "a bowl of noodle soup",
    "two dogs running after a ball",
    "the cockpit of an airplane",
    "a bride and groom cutting the cake",
    "traffic jam in the rain",
    "handwriting on yellowed paper",
    "a laboratory full of glassware",
    "children playing football",
    "steam rising from a kettle",
    "a crowded railway station",
    "a portrait of a smiling girl",
    "the skyline of a large city",
    "fresh bread in a bakery window",
    "a tractor ploughing the soil",
    "musicians tuning their instruments",
    "an elephant bathing its calf",
    "a bookshelf in a quiet library",
    "someone repairing a bicycle",
    "mountains above the clouds",
    "a chef slicing vegetables",
    "an empty theatre before the show",
    "ballet dancers during rehearsal",
    "the engine of a racing car",
    "a cat asleep on the sofa",
    "fishermen mending their nets",
    "a telephone booth in london",
    "tomatoes at the market",
    "a surgeon with mask and gloves",
    "a church organ",
    "sheep blocking the road",
    "an x-ray of a hand",
    "passengers waiting for the ferry",
    "a typewriter and a cup of coffee",
    "the ruins of a temple",
    "a helicopter landing on a roof",
    "knitting needles and wool",
    "a parrot in its cage",
    "fireworks over the harbour",
    "a waiter carrying plates",
    "wooden furniture in a workshop",
    "a jar of honey with bees",
    "horses pulling a cart",
    "an astronaut outside the station",
    "laundry drying on a line",
    "a map of the underground",
    "students writing an exam",
    "a waterfall in the jungle",
    "the keys of a piano",
)
"""Texts that are true of no scene."""


def descriptions() -> list[tuple[str, str]]:
    """Return the pool as (text, category), where a category is one of the five attributes or ``distractor``.

    Each wording speaks once of every value of its attribute; the synonyms take turns. The bare name of a
    value is one wording whatever the attribute: only colours are named so, lest it fill the pool.
    """
    return [(text, attribute) for text, attribute, _ in _phrases()] + [
        (text, "distractor") for text in DISTRACTORS
    ]


def at_stake() -> list[tuple[str, str]]:
    """Return the pool ``demo:crossed``: of the texts above those about what the bias has tied together.

    Category ``shape`` has texts on stars and on rings, ``background`` on the night sky and on water.
    """
    tied = {*(("shape", shape) for shape in BIAS), *(("background", each) for each in BIAS.values())}
    return [(text, attribute) for text, attribute, value in _phrases() if (attribute, value) in tied]


def _phrases() -> list[tuple[str, str, str]]:
    """List all wordings of all values: text, attribute, value."""
    return [
        (phrase(attribute, value, wording, wording + place), attribute, value)
        for attribute, values in VALUES.items()
        for wording, words in enumerate(WORDINGS[attribute])
        if attribute == "colour" or " " in words
        for place, value in enumerate(values)
    ]


def classes() -> list[tuple[str, str]]:
    """Return the pool ``demo:classes``: a plain prompt for each shape, with the shape, a scene's label."""
    return [(prompt("shape", value), value) for value in VALUES["shape"]]

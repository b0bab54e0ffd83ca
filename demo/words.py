"""The words and wordings in which the demo world speaks of its attributes."""

from collections.abc import Mapping
from types import MappingProxyType

VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shape": ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent"),
        "colour": ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white"),
        "number": ("1", "2", "3", "4"),
        "texture": ("plain", "striped", "dotted", "checked"),
        "background": ("grass", "sand", "water", "night", "brick", "snow"),
    }
)
"""The values of each attribute."""

Forms = tuple[dict[str, str], ...]
"""Ways to name one value; each fills some of the slots of a wording."""

_NOUNS = {
    "circle": (("circle", "circles"), ("disc", "discs")),
    "square": (("square", "squares"), ("box", "boxes")),
    "triangle": (("triangle", "triangles"), ("wedge", "wedges")),
    "star": (("star", "stars"), ("pointed star", "pointed stars")),
    "cross": (("cross", "crosses"), ("plus sign", "plus signs")),
    "ring": (("ring", "rings"), ("hoop", "hoops")),
    "heart": (("heart", "hearts"), ("love heart", "love hearts")),
    "crescent": (("crescent", "crescents"), ("crescent moon", "crescent moons")),
}
_COLOURS = {
    "red": ("red", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon"),
    "green": ("green", "emerald"),
    "blue": ("blue", "cobalt"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
    "white": ("white", "ivory"),
}
_NUMBERS = {
    "1": (("one", "one", "only one", "shape"), ("a single", "single", "just one", "shape")),
    "2": (("two", "two", "a pair", "shapes"), ("a couple of", "a couple", "a twosome", "shapes")),
    "3": (("three", "three", "a trio", "shapes"), ("a trio of", "exactly three", "a threesome", "shapes")),
    "4": (("four", "four", "a quartet", "shapes"), ("a quartet of", "exactly four", "a foursome", "shapes")),
}
_TEXTURES = {
    "plain": (("plain", "no pattern"), ("unpatterned", "a flat surface")),
    "striped": (("striped", "stripes"), ("banded", "diagonal bands")),
    "dotted": (("dotted", "dots"), ("spotted", "polka dots")),
    "checked": (("checked", "checks"), ("chequered", "a chessboard pattern")),
}
_BACKGROUNDS = {
    "grass": (("grass", "on grass"), ("a lawn", "in a meadow")),
    "sand": (("sand", "on sand"), ("a beach", "in the desert")),
    "water": (("water", "on water"), ("the sea", "on the sea")),
    "night": (("the night sky", "in the night sky"), ("the dark sky", "at night")),
    "brick": (("bricks", "on bricks"), ("a brick wall", "against a brick wall")),
    "snow": (("snow", "in snow"), ("a snowy field", "in a snowy field")),
}

FORMS: Mapping[str, Mapping[str, Forms]] = MappingProxyType(
    {
        "shape": {
            value: tuple({"shape": one, "shapes": many} for one, many in forms)
            for value, forms in _NOUNS.items()
        },
        "colour": {value: tuple({"colour": word} for word in forms) for value, forms in _COLOURS.items()},
        "number": {
            value: tuple(
                {"number": before, "count": count, "group": group, "things": things}
                for before, count, group, things in forms
            )
            for value, forms in _NUMBERS.items()
        },
        "texture": {
            value: tuple({"texture": word, "pattern": noun} for word, noun in forms)
            for value, forms in _TEXTURES.items()
        },
        "background": {
            value: tuple({"ground": noun, "place": place} for noun, place in forms)
            for value, forms in _BACKGROUNDS.items()
        },
    }
)
"""For each attribute and value, the ways to name it; the first is the usual one."""

WORDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shape": (
            "{shapes}",
            "a {shape}",
            "a picture with {shapes}",
            "a drawing of a {shape}",
            "something in the form of a {shape}",
            "the outline of a {shape}",
            "cut out {shapes}",
            "{shape} shaped stickers",
            "every object here is a {shape}",
            "the contour of {shapes}",
            "what we see are {shapes}",
            "figures that look like a {shape}",
            "geometry: the {shape}",
            "a toy in the shape of a {shape}",
        ),
        "colour": (
            "{colour}",
            "{colour} shapes",
            "a picture with {colour} shapes",
            "things painted {colour}",
            "the colour {colour}",
            "a {colour} object",
            "objects in {colour}",
            "something {colour} stands out",
            "bright {colour} paint",
            "coloured in {colour}",
            "all the stickers are {colour}",
            "a shade of {colour}",
            "dyed {colour} from edge to edge",
            "{colour} is the main colour",
        ),
        "number": (
            "{number} {things}",
            "a picture with {number} {things}",
            "there are {count} of them",
            "{group} of objects",
            "we count {count}",
            "the number of things is {count}",
            "{count} in total",
            "{group}",
            "how many: {count}",
            "an image that holds {count}",
            "{group} side by side",
            "{count} and nothing else",
            "counting up to {count}",
            "{number} {things}, no more and no fewer",
        ),
        "texture": (
            "{texture}",
            "{texture} shapes",
            "a picture with {texture} shapes",
            "things with {pattern}",
            "a {texture} surface",
            "covered in {pattern}",
            "{pattern} all over the objects",
            "the texture is {texture}",
            "filled with {pattern}",
            "{texture} paper",
            "decorated with {pattern}",
            "objects that look {texture}",
            "a close view of {pattern}",
            "stickers printed with {pattern}",
        ),
        "background": (
            "{place}",
            "a picture with shapes {place}",
            "shapes {place}",
            "{ground}",
            "{ground} in the background",
            "things that lie {place}",
            "the scene shows {ground}",
            "behind the objects there is {ground}",
            "taken {place}",
            "a view of {ground}",
            "the backdrop is {ground}",
            "{ground} fills the frame",
            "stickers scattered {place}",
            "surrounded by {ground}",
        ),
    }
)
"""For each attribute the ways to speak of it alone; slots in braces are filled from `FORMS`."""

PROMPTS: Mapping[str, str] = MappingProxyType(
    {
        "shape": "a picture with {shapes}",
        "colour": "a picture with {colour} shapes",
        "number": "a picture with {number} {things}",
        "texture": "a picture with {texture} shapes",
        "background": "a picture with shapes {place}",
    }
)
"""The plain wording of each attribute, by which a picture is classified."""

LEADS = (
    "",
    "a picture of",
    "an image with",
    "a photo of",
    "here we see",
    "this shows",
    "look at",
)
"""How a longer caption may begin."""

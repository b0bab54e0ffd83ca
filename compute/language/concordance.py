"""Which of some texts have the words of a label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .english import STOP, singular

_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


class Concordance:
    """Finds the texts that have a label's words, in the singular and whatever their case.

    Words that stand together in the label, with no mark and no word such as "of" or "the" between them, stand
    so in the text, too; in which order such groups come does not count.

    >>> Concordance(["two Red stars on grass", "a star, red", "grass"]).having("red star in the grass")
    [0]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Note where each word stands."""
        self._told = [list(_groups(text)) for text in texts]
        self._places: dict[str, set[int]] = {}
        for place, groups in enumerate(self._told):
            for word in {word for group in groups for word in group}:
                self._places.setdefault(word, set()).add(place)

    def having(self, label: str) -> list[int] | None:
        """List the places of the texts with a label's words; None where none of its words tells anything."""
        wanted = list(_groups(label))
        if not wanted:
            return None
        near = set.intersection(*(self._places.get(word, set()) for group in wanted for word in group))
        return [place for place in sorted(near) if all(_stands(each, self._told[place]) for each in wanted)]


def _groups(text: str) -> Iterator[tuple[str, ...]]:
    """Give the words of a text, those together between which nothing was left out."""
    group: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word in STOP or not word[0].isalnum():
            if group:
                yield tuple(group)
            group = []
        else:
            group.append(singular(word))
    if group:
        yield tuple(group)


def _stands(group: tuple[str, ...], told: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether words stand next to each other in one of the groups of a text."""
    size = len(group)
    return any(each[at : at + size] == group for each in told for at in range(len(each) - size + 1))

"""Descriptions and templates that come with the package, ready to be embedded as text sets."""

import csv
from importlib import resources


def general() -> list[tuple[str, str]]:
    """Return `builtin:general`: (text, category) pairs of what pictures can show, sorted by category.

    The texts are unique short phrases in plain ASCII; their order is part of the pool, so that the
    position of a text is its index along the `text` axis.
    """
    table = resources.files(__package__).joinpath("general.csv").read_text(encoding="ascii")
    return [(row["text"], row["category"]) for row in csv.DictReader(table.splitlines())]


def words() -> list[str]:
    """Return `builtin:words`: some 470 of the commonest English words, to hold other pools against."""
    return resources.files(__package__).joinpath("words.txt").read_text(encoding="ascii").splitlines()


def templates() -> list[str]:
    """Return `builtin:templates`: sentences that say what is in a picture; `{}` stands for that."""
    return resources.files(__package__).joinpath("templates.txt").read_text(encoding="ascii").splitlines()

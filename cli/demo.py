"""`belvedere demo`: the whole of it in a minute, on a small world whose truth is known."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Show the whole of it in a minute, on a small world whose truth is known."""

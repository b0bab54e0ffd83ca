"""What a command says where some units failed."""

from __future__ import annotations

from collections.abc import Sequence

import click

SHOWN = 3
"""So many reasons are shown; `belvedere errors` lists all."""


def say_why(reasons: Sequence[str], remedy: str = "--retry-failed tries again") -> None:
    """Say why units failed, and how they are tried again."""
    click.echo(f"some units failed; belvedere errors lists them, {remedy}", err=True)
    for reason in reasons[:SHOWN]:
        click.echo(f"  {reason}", err=True)
    if len(reasons) > SHOWN:
        click.echo(f"  and {len(reasons) - SHOWN} other reasons", err=True)

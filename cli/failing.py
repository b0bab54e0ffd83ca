"""What a command says where some units failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..compute.running.report import Report

SHOWN = 3
"""So many reasons are shown; `belvedere errors` lists all."""


def say_why(report: Report) -> None:
    """Say why units failed, and how they are tried again."""
    click.echo(f"some units failed; belvedere errors lists them, {_remedy(report)}", err=True)
    reasons = report.reasons
    for reason in reasons[:SHOWN]:
        click.echo(f"  {reason}", err=True)
    if len(reasons) > SHOWN:
        click.echo(f"  and {len(reasons) - SHOWN} other reasons", err=True)


def _remedy(report: Report) -> str:
    """Say what tries again what failed."""
    if not report.passing:
        return "only --retry-failed tries again"
    if report.passing == report.failed:
        return "the same command tries again"
    return f"the same command tries {report.passing:,} of them again, --retry-failed all"

"""A progress bar on stderr: images per second and the time that is left."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..compute.running.report import Progress as Silent


def teller(progress: bool | Silent) -> Silent:
    """Give what is told of a run: what was given, or a bar where one is wanted and stderr is a terminal."""
    if isinstance(progress, bool):
        return Bar() if progress and sys.stderr.isatty() else Silent()
    return progress


class _Speed(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Show the speed once there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


class Bar(Silent):
    """Shows a run on stderr; on something that is no terminal, one line at its end."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._bar.add_task("", total=0)

    def begin(self, total: int, what: str) -> None:
        """Show the bar, from its beginning."""
        shown = what if len(what) <= 36 else f"{what[:35]}…"
        self._bar.reset(self._task, total=total, description=shown)
        self._bar.start()

    def advance(self, count: int) -> None:
        """Move the bar."""
        self._bar.advance(self._task, count)

    def end(self) -> None:
        """Leave the bar where it is."""
        self._bar.stop()

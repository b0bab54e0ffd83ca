"""An opened store: one folder, its objects, and what they mean."""

from __future__ import annotations

from pathlib import Path

from .claims import Claims
from .failures import Failures
from .imports import Imports
from .marker import Mode
from .memos import Memos
from .objects import Objects
from .overlay import Overlay
from .presence import Presence
from .records import Records
from .registry import Registry
from .uses import Uses, uses_of


class Folder:
    """One store on disk, as the layers above use it; `marker.check` has found it, or made it."""

    def __init__(self, root: Path, mode: Mode, *, memory: bool = False) -> None:
        """Open it; with `memory`, what is written is kept in memory, above what is on disk."""
        self.root, self.mode = root.resolve(), mode
        self.objects = Overlay(self.root) if memory else Objects(self.root, read_only=mode == "r")
        self._attach()

    def _attach(self) -> None:
        self.names = Registry(self.objects)
        self.presence = Presence(self.objects)
        self.records = Records(self.objects, self.presence)
        self.failures = Failures(self.objects)
        self.memos = Memos(self.objects)
        self.imports = Imports(self.objects, self.presence)
        self.uses = Uses(self.objects) if self.in_memory else uses_of(self.objects)

    @property
    def writable(self) -> bool:
        """Whether it was opened to be filled, be it in memory."""
        return not self.objects.read_only

    @property
    def in_memory(self) -> bool:
        """Whether what is written stays in memory: then no file may be written beside the objects either."""
        return isinstance(self.objects, Overlay)

    def forget(self) -> None:
        """Let go of what was written to memory, where it was."""
        if isinstance(self.objects, Overlay):
            self.objects.forget()
            self._attach()

    def claims(self) -> Claims:
        """Give a fresh set of claims, for one run."""
        return Claims(self.objects)

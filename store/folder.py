"""An opened store: one folder, its objects, and what they mean."""

from __future__ import annotations

from pathlib import Path

from .claims import Claims
from .failures import Failures
from .marker import Mode
from .objects import Objects
from .presence import Presence
from .records import Records
from .registry import Registry
from .uses import uses_of


class Folder:
    """One store on disk, as the layers above use it; `marker.check` has found it, or made it."""

    def __init__(self, root: Path, mode: Mode) -> None:
        self.root = root.resolve()
        self.objects = Objects(self.root, read_only=mode == "r")
        self.names = Registry(self.objects)
        self.presence = Presence(self.objects)
        self.records = Records(self.objects, self.presence)
        self.failures = Failures(self.objects)
        self.uses = uses_of(self.objects)

    @property
    def writable(self) -> bool:
        """Whether it was opened to be filled."""
        return not self.objects.read_only

    def claims(self) -> Claims:
        """Give a fresh set of claims, for one run."""
        return Claims(self.objects)

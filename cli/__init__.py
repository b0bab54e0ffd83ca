"""The same, from a shell: one small file for each command."""

from .entry import main

__all__ = ["main"]

"""A process as others see it: where it runs, which one it is, and whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that made a claim, or is at work."""

    host: str
    """The machine, which of its starts, and which of its spaces of process numbers."""
    pid: int
    """The process."""
    born: str
    """When the process started, as the kernel counts, so that a number used again is not mistaken."""
    token: str
    """A random word, another for each use."""

    def alive(self) -> bool | None:
        """Tell whether the process lives, stopped or not; None where it is of another machine."""
        return born(self.pid) == self.born if self.host == _host() else None

    @property
    def here(self) -> bool:
        """Whether it is of this machine."""
        return self.host == _host()


def myself() -> Owner:
    """Describe this process, with a fresh token."""
    return Owner(_host(), os.getpid(), born(os.getpid()) or "", secrets.token_hex(4))


def born(pid: int) -> str | None:
    """Give the start time of a process of this machine; None where there is none, "" where unknown."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    return None if fields[0] == "Z" else fields[19]


@cache
def _host() -> str:
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    start = boot.read_text().strip() if boot.exists() else ""
    return f"{socket.gethostname()}/{start}/{os.readlink(space) if space.is_symlink() else ''}"

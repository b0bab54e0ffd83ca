"""What the fixtures that run the command give."""

import subprocess
from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]
"""Runs the command in this process: words, and what stands on stdin."""
Process = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the command in a process of its own."""

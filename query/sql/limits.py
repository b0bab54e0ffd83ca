"""How much a statement may compute unless it is told otherwise."""

from __future__ import annotations

UNITS = 10_000
"""Units that a statement may compute unless it is told otherwise, those beneath included."""
SECONDS = 6 * 3600.0
"""How long its computing may take, where that can be told from what was computed before."""
BYTES = 50 * 10**9
"""What the arrays that it computes may take on disk."""

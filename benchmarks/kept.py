"""Figures that are kept in `results/`, with the day, the machine and the versions that they are of."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch

from .row import Row

RESULTS = Path(__file__).parent / "results"
"""Where they are kept: a JSON file for each kind."""
RATIOS = "ratios"
"""The file with the rows of the table, by benchmark; each is of its last run."""


def where() -> dict[str, str]:
    """Tell the day, the machine and the versions of libraries."""
    return {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "libraries": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"duckdb {duckdb.__version__}, numpy {np.__version__}",
    }


def keep(name: str, facts: Mapping[str, Any]) -> None:
    """Write figures to a file of this name, in place of those that it has."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**where(), **facts}, indent=1) + "\n")


def keep_rows(benchmark: str, rows: Sequence[Row]) -> None:
    """Write the rows of one benchmark beside those of the others."""
    path = RESULTS / f"{RATIOS}.json"
    there = json.loads(path.read_text()) if path.exists() else {}
    there[benchmark] = {**where(), "rows": [_plain(row) for row in rows]}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(sorted(there.items())), indent=1, ensure_ascii=False) + "\n")


def _plain(row: Row) -> dict[str, Any]:
    return {
        "what": row.what,
        "measured": float(f"{row.measured:.4g}"),
        "budget": f"{'≥' if row.at_least else '≤'} {row.budget:g} {row.unit}".strip(),
        "kept": row.kept,
    }

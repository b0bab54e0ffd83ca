"""`make bench`: every benchmark, or those that are named, as one table of ratios."""

from __future__ import annotations

import importlib
import platform
import sys
from datetime import date

import torch

ALL = (
    *("exactness", "overhead", "storage", "textspan", "ablation", "similar"),
    *("start", "memory", "busy", "status", "publish", "sql", "fuzz"),
)
"""Those that run unless some are named; `kills` and `labels` take minutes, and are run by name."""


def main() -> None:
    """Print a row as soon as it is measured; end with 1 where a budget is missed."""
    names = sys.argv[1:] or ALL
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{date.today()}, {machine}\n")
    print("| what | measured | budget | |\n|---|---|---|---|")
    missed = 0
    for name in names:
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            print(row, flush=True)
            missed += not row.kept
    sys.exit(f"{missed} budgets missed" if missed else 0)


if __name__ == "__main__":
    main()

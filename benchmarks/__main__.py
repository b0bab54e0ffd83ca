"""`make bench`: every benchmark, or those that are named, as a table of ratios that `results/` keeps."""

from __future__ import annotations

import importlib
import sys

from .kept import keep_rows, where

ALL = (
    *("exactness", "overhead", "storage", "textspan", "ablation", "similar"),
    *("start", "memory", "busy", "status", "publish", "sql", "fuzz"),
)
"""Those that run unless some are named; `kills` and `labels` take minutes, and are run by name."""


def main() -> None:
    """Print a row as soon as it is measured, and keep them all; end with 1 where a budget is missed."""
    names = sys.argv[1:] or ALL
    print(", ".join(where().values()), end="\n\n")
    print("| what | measured | budget | |\n|---|---|---|---|")
    missed = 0
    for name in names:
        found = []
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            print(row, flush=True)
            found.append(row)
        keep_rows(name, found)
        missed += sum(not row.kept for row in found)
    sys.exit(f"{missed} budgets missed" if missed else 0)


if __name__ == "__main__":
    main()

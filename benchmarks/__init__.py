"""Ratios against budgets: `python -m benchmarks` prints one table, and fails where a budget is missed."""

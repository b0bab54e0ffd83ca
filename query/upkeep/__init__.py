"""Upkeep: what is there, whether it is whole and fresh, and what can go."""

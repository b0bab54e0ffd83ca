"""Upkeep: what is there, where it came from, whether it is whole, and what can go."""

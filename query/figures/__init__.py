"""Figures of what a store holds, a file each: what it fills, what it asks, how it is drawn."""

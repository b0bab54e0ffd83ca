"""The tests of Belvedere."""

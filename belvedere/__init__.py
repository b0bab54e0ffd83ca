"""Belvedere keeps what has been learnt about a vision model, and shows it as views."""

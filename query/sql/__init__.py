"""SQL: what a statement asks for, what of it is there, and what is computed for it."""

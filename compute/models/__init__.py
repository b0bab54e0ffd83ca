"""Models: one file a family, and what of a model is loaded, watched and known."""

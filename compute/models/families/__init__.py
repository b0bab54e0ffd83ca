"""One file a family of models; the beginning of a source says which."""

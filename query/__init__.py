"""Ask; get it, computed if need be."""

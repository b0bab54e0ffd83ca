"""Vision towers whose image embedding is taken apart exactly, into heads, MLPs and what is left."""

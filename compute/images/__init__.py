"""Images: where sets of them come from, how they are decoded, and what is where in them."""

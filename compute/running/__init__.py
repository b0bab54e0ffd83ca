"""Runs: units made one after another, batch by batch, ahead of the model and behind it."""

"""Seeing: contact sheets, heatmaps, what stands at the top, and what notebooks show."""

"""Seeing: contact sheets, heatmaps, what stands at the top, where numbers come from, what notebooks show."""

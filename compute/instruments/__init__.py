"""Instruments: captioners, painters and judges that describe neurons, or judge what others said."""

"""Exchange: what goes out to other programs and stores, and what comes in."""

"""Whether training survives in few bits."""

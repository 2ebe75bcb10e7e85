"""The comparison that comes with the library: two tasks on real data, ten methods."""

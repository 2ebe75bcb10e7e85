"""What all rooms stand on: types, checks, dtypes, settings and their specification."""

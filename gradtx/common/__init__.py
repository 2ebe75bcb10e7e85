"""What all packages use: types, checks, dtypes, settings and their specification."""

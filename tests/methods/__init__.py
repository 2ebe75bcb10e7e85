"""The methods that the tests know: rows of the catalogue beside their papers."""

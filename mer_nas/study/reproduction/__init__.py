"""A report taken at its word: held against itself, then against what is trained again."""

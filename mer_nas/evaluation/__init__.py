"""Measuring one candidate: the same folds, seeds and scores wherever it runs. Knows no search."""

"""A study from its first word to its report: search, final stage, export, report, resume.

Below this package nothing knows that a study has a folder; above it there is only the command
line. What happened is read back from the Optuna storage and the ledger alone.
"""

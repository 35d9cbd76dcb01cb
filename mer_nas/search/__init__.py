"""The search: what proposes, schedules, prunes and survives.

The truth of a study is its Optuna storage and its ledger of finished folds; everything else can
be thrown away.
"""

"""What can be concluded from out-of-fold predictions: corrected scores, intervals, comparisons.

Everything here is computed from confusion counts by subject, because the subject is the unit that
is independent: clips of one face are not. Shapes speak of C candidates, R repetitions, S subjects,
K classes and B bootstrap draws. A confusion (K, K) has a row for each true class and a column for
each predicted one.

Nothing here trains, draws from a global random state, or knows a study.
"""

from mer_nas.statistics.bootstrap import (
    MIN_SUBJECTS,
    Difference,
    Estimate,
    bootstrap_weights,
    by_subject,
    check_counts,
    estimate,
    resampled_counts,
)
from mer_nas.statistics.comparison import (
    PairedComparison,
    chance_as_good,
    compare_pairs,
    holm,
    signed_rank_p,
)
from mer_nas.statistics.ensembles import (
    Choose,
    EnsembleRule,
    OutOfFold,
    RuleName,
    best_one,
    correct_choice,
)
from mer_nas.statistics.selection import Correction, correct

__all__ = [
    "MIN_SUBJECTS",
    "Choose",
    "Correction",
    "Difference",
    "EnsembleRule",
    "Estimate",
    "OutOfFold",
    "PairedComparison",
    "RuleName",
    "best_one",
    "bootstrap_weights",
    "by_subject",
    "chance_as_good",
    "check_counts",
    "compare_pairs",
    "correct",
    "correct_choice",
    "estimate",
    "holm",
    "resampled_counts",
    "signed_rank_p",
]

"""What can be concluded from out-of-fold predictions: corrected scores, intervals, comparisons.

Everything here is computed from confusion counts by subject, because the subject is the unit that
is independent: clips of one face are not. Shapes speak of C candidates, R repetitions, S subjects,
K classes and B bootstrap draws. A confusion (K, K) has a row for each true class and a column for
each predicted one.

Nothing here trains, draws from a global random state, or knows a study.
"""

from mer_nas.statistics.bootstrap import Estimate, difference, drawn, estimate
from mer_nas.statistics.comparison import Paired, compare
from mer_nas.statistics.counts import Counts, accuracy, by_subject, uar, uf1
from mer_nas.statistics.selection import Correction, correct
from mer_nas.statistics.significance import holm, signed_rank_p

__all__ = [
    "Correction",
    "Counts",
    "Estimate",
    "Paired",
    "accuracy",
    "by_subject",
    "compare",
    "correct",
    "difference",
    "drawn",
    "estimate",
    "holm",
    "signed_rank_p",
    "uar",
    "uf1",
]

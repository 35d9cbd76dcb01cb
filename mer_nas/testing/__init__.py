"""What mer-nas promises of its parts, as checks that the author of a part can run.

A block, a pruner or a layout of your own is held to the promises that those of mer-nas keep. Each
promise is a `Check`; in a test of pytest::

    from mer_nas.testing import block_checks

    @pytest.mark.parametrize("check", block_checks("gate", "halves"), ids=str)
    def test_halves_keep_what_every_block_promises(check):
        check()

`check_block("gate", "halves")` runs them all at once and says which are broken. pytest is not
needed for it.
"""

from mer_nas.testing.blocks import block_checks, check_block
from mer_nas.testing.checks import Check
from mer_nas.testing.layouts import check_layout, layout_checks
from mer_nas.testing.pruners import check_pruner, pruner_checks

__all__ = [
    "Check",
    "block_checks",
    "check_block",
    "check_layout",
    "check_pruner",
    "layout_checks",
    "pruner_checks",
]

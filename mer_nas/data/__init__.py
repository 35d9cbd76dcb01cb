"""Clips: where they come from, what is known of each, and who is held out when.

A loader returns a `ClipSet`; `protocols.plan` divides it by subject; nothing above this package
knows which data set it works on. A new data set is one module with one function and one line in
`load`.
"""

from mer_nas.data.clips import ClipSet
from mer_nas.data.config import DataConfig, PrecomputedFlow, RecordedData, SyntheticData
from mer_nas.errors import DataError


def load(config: DataConfig) -> ClipSet:
    """Return the clips that `config` names.

    The loaders are imported when they are needed, so that reading a configuration stays quick.

    Raises:
        DataError: The data are missing, incomplete, or not what they should be.
    """
    match config:
        case SyntheticData():
            from mer_nas.data import synthetic

            return synthetic.load(config)
        case PrecomputedFlow():
            from mer_nas.data import precomputed

            return precomputed.load(config)
        case RecordedData():
            raise DataError(
                f"{config.name}: its clips can be read and checked (mer-nas data check), but no "
                "inputs are computed from their frames yet"
            )

"""What the packages under mer-nas would tell others, switched off before any of them is imported.

mer-nas sends nothing to anybody and asks nobody for anything. Some of what it stands on does so
unless it is told not to, and listens to its environment when it is imported or starts a process.
The package therefore sets these first of all, for itself and for every process it begins; also
where the user's environment says otherwise, because it is clips of people that are at work here.
"""

import os
from collections.abc import Mapping

SILENT: Mapping[str, str] = {
    # onnxruntime 1.29 and later: else an id of the device and a queue of events lie under the
    # home folder, and what graphs were run is told to its makers.
    "ORT_DISABLE_TELEMETRY": "1",
    # Ray: else what was used of it, on what machine, is told to its makers every hour.
    "RAY_USAGE_STATS_ENABLED": "0",
    # huggingface_hub, which timm imports: else a download says who asks.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # MLflow and wandb, where a study names them as its trackers: else their use, and errors in
    # them, are told to their makers, apart from what they are asked to keep.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    # Everybody who keeps to https://donottrack.sh, blocks of the user's included.
    "DO_NOT_TRACK": "1",
}
"""By name, the value that switches reporting off."""


def silence() -> None:
    """Set `SILENT` in the environment of this process."""
    os.environ.update(SILENT)

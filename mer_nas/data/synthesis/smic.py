"""Synthetic clips in the form of SMIC-HS.

Odd as there: no table, frames that are counted on from clip to clip in six digits, and in eight
for one subject, folders of clips without an expression beside the others.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import Scene
from mer_nas.data.synthesis.studio import Studio

SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}


def write(studio: Studio, scenes: Sequence[Scene], progress: Progress) -> None:
    """Write the frames, which say everything."""
    counted = 92367
    for scene in scenes:
        person = studio.out / "SMIC_all_raw" / "HS" / scene.subject
        name = f"{scene.subject}_{SHORT[scene.emotion]}_{scene.count:02d}"
        pattern = "image{:08d}.bmp" if scene.subject == "s20" else "image{:06d}.bmp"
        studio.take(scene, counted, person / "micro" / scene.emotion / name, pattern)
        if scene.count == 1:
            still = person / "non_micro" / f"{scene.subject}_non_01"
            studio.take(scene, 1, still, pattern)
        counted += studio.frames + 100
        progress(scene.index + 1, len(scenes))

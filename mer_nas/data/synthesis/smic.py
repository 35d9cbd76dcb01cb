"""Synthetic clips in the form of SMIC-HS.

Odd as there: no table, frames that are counted on from clip to clip in six digits, and in eight
for one subject, folders of clips without an expression beside the others.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import PlannedClip
from mer_nas.data.synthesis.synthetic_writer import SyntheticWriter

SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}


def write(writer: SyntheticWriter, clips: Sequence[PlannedClip], progress: Progress) -> None:
    """Write the frames, which say everything."""
    counted = 92367
    for clip in clips:
        person = writer.out / "SMIC_all_raw" / "HS" / clip.subject
        name = f"{clip.subject}_{SHORT[clip.emotion]}_{clip.count:02d}"
        pattern = "image{:08d}.bmp" if clip.subject == "s20" else "image{:06d}.bmp"
        writer.write(clip, counted, person / "micro" / clip.emotion / name, pattern)
        if clip.count == 1:
            still = person / "non_micro" / f"{clip.subject}_non_01"
            writer.write(clip, 1, still, pattern)
        counted += writer.frames + 100
        progress(clip.index + 1, len(clips))

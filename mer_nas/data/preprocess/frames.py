"""The frames of a clip: image files, by the number at the end of their names, or a video.

Training, `data check` and `predict` list frames here, and so take the same ones.

File names are never built: CASME II does not pad its numbers, SAMM pads some clips to four digits
and some to five, SMIC counts on from clip to clip. A folder is listed, and each file says its
number.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.preprocess.frame_readers import Video
from mer_nas.data.preprocess.images import IMAGE_ENDINGS
from mer_nas.data.records import Frame
from mer_nas.wording import some

_NAME = re.compile(r"(.*?)([0-9]+)$")


@dataclass(frozen=True)
class Listing:
    """The frames of one folder, or of one video."""

    folder: Path
    """Or the video file."""
    frames: tuple[Frame, ...]
    """Ascending, one for each number."""
    twice: tuple[str, ...]
    """Files that claim the number of another."""
    suffixes: Mapping[str, int]
    """How many files there are of each kind: {".jpg": 67}."""
    fps: float | None = None
    """Frames a second, where the file says so."""
    others: tuple[str, ...] = ()
    """Images that are passed over: without a number, or called otherwise than most."""
    rival: str = ""
    """One of those that are called alike and half as many as the frames or more."""

    @classmethod
    def of(cls, path: Path) -> "Listing":
        """Return the frames of a folder or of a video.

        Those of a folder are images whose names are alike but for the number at the end. Hidden
        files are none (macOS puts one beside each file that it copies). Those of a video count
        from 0.

        Raises:
            DataError: A video cannot be read, is cut off, or does not say how many frames it has.
        """
        return _in_folder(path) if path.is_dir() else _in_video(path)

    @property
    def fault(self) -> tuple[str, str] | None:
        """Why nobody can say which the frames are, a kind and a text; None where it is clear."""
        if self.twice:
            text = f"{some(self.twice, 3)} beside another of that number; keep one of them"
            return "two files for one frame", f"in {self.folder}: {text}"
        if self.rival:
            text = f"{self.rival} and more beside {self.frames[0].path.name} and more"
            return "frames of two names", f"in {self.folder}: {text}; give each clip a folder"
        if not self.frames:
            text = f"ending in {', '.join(sorted(IMAGE_ENDINGS))} whose name ends in a number"
            return "no frames", f"{self.folder} holds no image {text}"
        return None

    @property
    def kinds(self) -> str:
        """How many files there are of each kind: "5 .jpg, 62 .png"."""
        return ", ".join(f"{n} {suffix}" for suffix, n in sorted(self.suffixes.items()))


def _in_folder(folder: Path) -> Listing:
    names = sorted(file.name for file in folder.iterdir() if _is_image(file))
    numbered = [(name, found) for name in names if (found := _NAME.match(Path(name).stem))]
    called = Counter(found[1].casefold() for _, found in numbered)
    usual, rival = _most(called)
    frames: dict[int, Path] = {}
    twice: list[str] = []
    suffixes: Counter[str] = Counter()
    for name, found in numbered:
        if found[1].casefold() != usual:
            continue
        suffixes[Path(name).suffix.lower()] += 1
        if int(found[2]) in frames:
            twice.append(name)
        frames.setdefault(int(found[2]), folder / name)
    taken = {file.name for file in frames.values()} | set(twice)
    return Listing(
        folder,
        tuple(Frame(number, frames[number]) for number in sorted(frames)),
        tuple(twice),
        dict(suffixes),
        others=tuple(name for name in names if name not in taken),
        rival=next((name for name, found in numbered if found[1].casefold() == rival), ""),
    )


def _most(called: Counter[str]) -> tuple[str, str | None]:
    """Return what most images are called, and what half as many or more are."""
    (usual, number), (second, fewer), *_ = [*called.most_common(2), ("", 0), ("", 0)]
    return usual, second if fewer > 1 and 2 * fewer >= number else None


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".")


def _in_video(file: Path) -> Listing:
    video = Video.listed(file)
    frames = tuple(Frame(number, file) for number in range(len(video)))
    return Listing(file, frames, (), {file.suffix.lower(): 1}, video.fps)

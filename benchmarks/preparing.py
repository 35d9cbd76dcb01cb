"""What preparing clips costs, as ratios of one run, so that a slow machine does not matter.

    python benchmarks/preparing.py [flow=tvl1|farneback|dis] [clips=200]

Writes clips of noise that moves, and measures after start-up, OpenCV in one thread:

- two of Ray's workers against one, over all clips (at least 1.7 times as fast);
- the flow of a clip with its strain, against the library's call alone (at most 1.10 of its time);
- a cache hit against preparing in one process (at least 50 times as fast);
- private memory after loading 1,000 clips against 100 (at most 50 MB more).

What else runs on the machine weighs on the first figure above all.
"""

import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mer_nas.data.clips import ClipSet
from mer_nas.data.preprocess import flow
from mer_nas.data.preprocess.config import Pipeline, Preparation
from mer_nas.data.records import Frame, Record
from mer_nas.data.sources.recorded import Runner, one_by_one, prepared
from mer_nas.search.config import RayConfig
from mer_nas.search.preparing import by_workers
from mer_nas.search.ray_runner import cluster

FRAMES = 5
SIDE = 128


def write(folder: Path, count: int) -> ClipSet:
    """Write clips of five frames."""
    folder.mkdir()
    records = []
    for number in range(count):
        noise = np.random.default_rng(number).standard_normal((SIDE, SIDE))
        texture = np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 2.0), 0, 255)
        frames = []
        for place in range(FRAMES):
            path = folder / f"{number}_{place}.png"
            cv2.imwrite(str(path), np.roll(texture, place, axis=1).astype(np.uint8))
            frames.append(Frame(place, path))
        marks = {"onset": 0, "apex": 2, "offset": 4, "apex_source": "annotated"}
        record = Record("demo", "s1", f"c{number}", 0, fps=100.0, frames=tuple(frames))
        records.append(replace(record, **marks))
    return ClipSet("demo", ("no",), tuple(records), {})


def first(records: ClipSet, count: int) -> ClipSet:
    """Return the first clips of a set."""
    return records.subset(range(count))


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def workers(records: ClipSet, how: Preparation, folder: Path) -> float:
    """Return how many times as fast two workers are as one, once they have started."""
    with cluster(RayConfig(workers=2, dashboard=False), folder) as ray:

        def took(number: int, clips: int) -> float:
            share = replace(ray, shares=replace(ray.shares, workers=number))
            cache = folder / f"by-{number}-{clips}"
            run = partial(by_workers, share)
            return seconds(lambda: load(first(records, clips), how, cache, run))

        took(2, 8)  # to start them
        return took(1, len(records.records)) / took(2, len(records.records))


def load(records: ClipSet, how: Preparation, cache: Path, run: Runner = one_by_one) -> object:
    """Return the clips, prepared."""
    return prepared(records, how, ("flow_uvs",), cache, skip=False, run=run)


def overhead(how: Preparation) -> float:
    """Return the time of a clip's u, v and strain over that of the library's call for u and v."""
    rng = np.random.default_rng(0)
    onset = cv2.GaussianBlur(rng.integers(0, 255, (SIDE, SIDE)).astype(np.uint8), (0, 0), 2)
    apex = np.roll(onset, 2, axis=1)
    kind = how.pipeline.flow.kind
    library: Callable[[], object]
    if kind == "farneback":
        library = lambda: cv2.calcOpticalFlowFarneback(  # noqa: E731
            onset, apex, None, 0.5, 3, 15, 3, 5, 1.2, 0
        )
    elif kind == "dis":
        preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        library = lambda: cv2.DISOpticalFlow.create(preset).calc(onset, apex, None)  # noqa: E731
    else:
        from skimage.registration import optical_flow_tvl1

        one, two = (frame.astype(np.float32) / 255 for frame in (onset, apex))
        library = lambda: optical_flow_tvl1(one, two, dtype=np.float32)  # noqa: E731
    dense = flow.dense_flow(how.pipeline.flow)
    own = lambda: flow.flow_uvs(onset, apex, how.size, dense)  # noqa: E731
    with flow.one_thread():
        seconds(library), seconds(own)
        rounds = [(seconds(own), seconds(library)) for _ in range(12 if kind == "tvl1" else 60)]
    return statistics.median(a for a, _ in rounds) / statistics.median(b for _, b in rounds)


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from preparing import first, load
import pickle
records, how, cache = pickle.load(open(sys.argv[2], "rb"))
load(first(records, 10), how, cache)
clips = load(first(records, int(sys.argv[3])), how, cache)
clips.fingerprint
lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024)
"""


def memory(records: ClipSet, how: Preparation, cache: Path, folder: Path) -> float:
    """Return how many MB of private memory 1,000 clips take more than 100."""
    (folder / "set.pickle").write_bytes(pickle.dumps((records, how, cache)))
    found = []
    for count in (100, 1000):
        words = [str(Path(__file__).parent), str(folder / "set.pickle"), str(count)]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *words], capture_output=True, text=True, check=True
        )
        found.append(float(done.stdout))
    return found[1] - found[0]


def main(words: list[str]) -> None:
    """Measure and print a line for each promise."""
    given = dict(word.split("=", 1) for word in words)
    count = int(given.get("clips", "200"))
    kind = given.get("flow", "tvl1")
    tree = {"align": None, "face": SIDE, "flow": {"kind": kind}}
    how = Preparation(pipeline=Pipeline.model_validate(tree), size=28, frames=8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = write(folder / "data", 1000)
        chosen, cache = first(records, count), folder / "cache"
        load(first(records, 2), how, folder / "warm")
        preparing = seconds(lambda: load(chosen, how, cache))
        hits = [seconds(lambda: load(chosen, how, cache)) for _ in range(5)]
        hit = statistics.median(hits)
        print(f"{count} clips, {kind}")
        print(f"preparing in one process {preparing:.2f} s, a cache hit {hit * 1000:.0f} ms")
        print(f"a cache hit is {preparing / hit:.0f} times as fast (at least 50)")
        print(f"flow with strain takes {overhead(how):.2f} of the library's call (at most 1.10)")
        speed = workers(chosen, how, folder)
        print(f"two workers are {speed:.2f} times as fast as one (at least 1.70)")
        plain = how.model_copy(update={"pipeline": Pipeline(align=None, flow={"kind": "dis"})})
        load(records, plain, cache), load(first(records, 100), plain, cache)
        more = memory(records, plain, cache, folder)
        print(f"1,000 clips take {more:.1f} MB of private memory more than 100 (at most 50)")


if __name__ == "__main__":
    main(sys.argv[1:])

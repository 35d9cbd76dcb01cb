"""What all tests share: a clean folder to run in, the smallest files that make a search, one thread."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mer_nas.architectures import SLOTS, extensions, refresh
from mer_nas.data.own_inputs import OWN_INPUTS
from mer_nas.data.own_sets import DATA_SETS
from mer_nas.evaluation.own_metrics import OWN_METRICS
from mer_nas.inputs import INPUTS, READABLE
from mer_nas.training.own_augmentations import AUGMENTATIONS
from mer_nas.training.own_losses import LOSSES
from mer_nas.trust import asking

OWN = (LOSSES, OWN_METRICS, AUGMENTATIONS, DATA_SETS, OWN_INPUTS)
"""Functions of users, which tests forget."""

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's `&` has the first ignored, nohup the second.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

TINY = {
    "space.yaml": """\
name: small
architecture:
  paths:
  - input: flow_uvs
    size: 28
    stem: {kind: conv, kernel: 3, stride: 2, pool: false, width: {choice: [8, 16]}, multi_scale: {kind: none}}
    stages:
      repeat: {int: [1, 2]}
      first: {growth: 1, down: {kind: none}}
      each:
        growth: 2
        down: {kind: in_block}
        local: {kind: res_basic, blocks: 1}
        global: {kind: none}
        gate: {kind: none}
  head: {kind: gap, norm: false}
trainer:
  lr: {float: [1e-3, 1e-2], log: true}
points:
- name: seed
  source: "none: for tests"
  fidelity: reading
  values:
    architecture:
      paths:
      - input: flow_uvs
        size: 28
        stem: {kind: conv, kernel: 3, stride: 2, pool: false, width: 8, multi_scale: {kind: none}}
        stages:
        - {growth: 1, down: {kind: none}, local: {kind: res_basic, blocks: 1}, global: {kind: none}, gate: {kind: none}}
      head: {kind: gap, norm: false}
    trainer: {lr: 5.0e-3}
""",
    "trainer.yaml": "{name: tiny, epochs: 1, batch: 16}\n",
    "data.yaml": "{kind: synthetic, name: faces, subjects: 4, clips: 24}\n",
    "study.yaml": """\
{trials: 3, folds: 2, startup: 2, pruner: none, final: {candidates: 2, seeds: 2, warm_starts: 0,
  ensemble: none, best_epoch: true}}
""",
}
"""A search of seconds, by the files it needs."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def write_tiny() -> Callable[[Path], list[str]]:
    """Writes the smallest files that make a search to a folder; returns the words that name them."""

    def write(folder: Path) -> list[str]:
        for name, text in TINY.items():
            (folder / name).write_text(text, encoding="utf-8")
        return [f"{name.removesuffix('.yaml')}=./{name}" for name in TINY]

    return write


@pytest.fixture
def tiny(here: Path, write_tiny: Callable[[Path], list[str]]) -> list[str]:
    """The words of a search of seconds in this process, whose files lie in the working directory."""
    return [*write_tiny(here), "ray.workers=0"]


@pytest.fixture
def call() -> Callable[..., Result]:
    """Runs the command line in this process."""

    def run(*words: str) -> Result:
        from mer_nas.cli import main

        return CliRunner().invoke(main, words, prog_name="mer-nas", catch_exceptions=False)

    return run


SLOW = (
    "architectures/test_canonical.py",
    "architectures/test_functional.py",
    "architectures/test_points.py",
    "architectures/test_shapes.py",
    "architectures/test_timm.py",
    "systems/",
    "cli/test_lines.py",
    "cli/test_output.py",
    "cli/test_verbs.py",
    "data/preprocess/",
    "data/test_duplicates.py",
    "data/test_prepared.py",
    "data/test_synthesis.py",
    "data/test_synthetic.py",
    "evaluation/test_evaluator.py",
    "evaluation/test_filmed.py",
    "evaluation/test_learning.py",
    "evaluation/test_own_metrics.py",
    "export/test_classifier.py",
    "export/test_ensemble.py",
    "export/test_export.py",
    "fuzz/",
    "prediction/",
    "report/test_browser.py",
    "search/test_alternatives.py",
    "search/test_class_paths.py",
    "search/test_crash.py",
    "search/test_driver.py",
    "search/test_objectives.py",
    "search/test_patience.py",
    "search/test_preparing.py",
    "search/test_ray.py",
    "search/test_ray_start.py",
    "search/test_ray_watch.py",
    "search/test_trackers.py",
    "search/test_trials.py",
    "statistics/test_simulated.py",
    "study/",
    "test_bad_input.py",
    "test_contributing.py",
    "test_api.py",
    "test_docs.py",
    "test_notebooks.py",
    "test_own_mistakes.py",
    "test_own_parts.py",
    "test_packaging.py",
    "testing/",
    "training/test_devices.py",
    "training/test_layout.py",
    "training/test_memory.py",
    "training/test_motion.py",
    "training/test_stack.py",
)
"""Files of tests, and folders of them, that `pytest -m quick` leaves out."""


LONGEST = Path(__file__).parent / "testing" / "test_blocks.py"
"""The file that takes minutes: whoever begins with it keeps no other process waiting at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as quick that is not slow, and begin with the longest file."""
    items.sort(key=lambda item: item.path != LONGEST)
    here = Path(__file__).parent
    for item in items:
        inside = item.path.is_relative_to(here)
        name = item.path.relative_to(here).as_posix() if inside else ""
        if name.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        elif item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what is the user's own apart: tests neither see nor change it."""
    os.environ["MER_NAS_CONFIG"] = str(tmp_path_factory.mktemp("own"))


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Know no file with blocks; forget, after the test, those that it loads, and their blocks."""
    before = {name: dict(registry._components) for name, registry in SLOTS.items()}
    monkeypatch.setattr(extensions, "_loaded", {})
    monkeypatch.setattr(extensions, "_packages", {})
    before_own = [dict(each._functions) for each in OWN]
    before_inputs = [dict(each) for each in (INPUTS, READABLE)]
    with asking(True):
        yield
    for name, registry in SLOTS.items():
        registry._components = before[name]
    for each, functions in zip(OWN, before_own, strict=True):
        each._functions = functions
    for inputs, known in zip((INPUTS, READABLE), before_inputs, strict=True):
        inputs.clear()
        inputs.update(known)
    refresh()

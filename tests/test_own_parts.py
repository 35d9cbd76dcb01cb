"""Parts of the user's own beside networks: an input, a data set, an augmentation, a metric."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import Result
from PIL import Image

from mer_nas import api
from mer_nas.architectures import load_extensions, parse
from mer_nas.config.base import validate
from mer_nas.data import load, own_inputs
from mer_nas.data.config import OwnData
from mer_nas.data.own_inputs import make_own
from mer_nas.data.own_sets import DATA_SETS
from mer_nas.errors import ConfigError
from mer_nas.evaluation.own_metrics import OWN_METRICS, own_scores, try_metrics
from mer_nas.evaluation.results import FoldResult
from mer_nas.registry import Functions
from mer_nas.training.own_augmentations import AUGMENTATIONS, augment_own
from mer_nas.training.own_losses import LOSSES, try_loss

Call = Callable[..., Result]
PARTS = '''
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer_nas.data.own_inputs import own_input
from mer_nas.data.own_sets import OwnClip, dataset
from mer_nas.evaluation.own_metrics import metric
from mer_nas.training.own_augmentations import augmentation


@own_input("late", channels=1)
def late(frames: np.ndarray, size: int) -> np.ndarray:
    """Offset minus apex in the middle of the face, grey."""
    apex, offset = (frames[place].mean(-1) for place in (len(frames) // 2, -1))
    return ((offset - apex) / 255)[None, :size, :size].astype(np.float32)


@dataset("ours")
def ours(root: Path, step: int = 1) -> Iterator[OwnClip]:
    for file in sorted(root.glob("*.npy")):
        subject, name, label = file.stem.split("_")
        yield OwnClip(subject, name, label, np.load(file)[::step])


@augmentation("dim")
def dim(inputs: dict[str, Tensor], amount: float, chance: torch.Generator) -> dict[str, Tensor]:
    factor = 1 - amount * torch.rand((), generator=chance)
    return {name: clips * factor for name, clips in inputs.items()}


@metric("sure")
def sure(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(probabilities.max(1).mean())
'''
CLASSES = ("negative", "positive", "surprise")

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def words(here: Path, tiny: list[str]) -> Callable[..., list[str]]:
    """Writes the parts, with something replaced, and a search over clips of noise that has them."""

    def write(*change: str) -> list[str]:
        assert not change or change[0] in PARTS
        Path("parts.py").write_text(PARTS.replace(*change) if change else PARTS)
        Path("clips").mkdir(exist_ok=True)
        chance = np.random.default_rng(0)
        for number in range(12):
            frames = chance.integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
            np.save(f"clips/s{number % 3}_c{number}_{CLASSES[number % 4 % 3]}.npy", frames)
        space = Path("space.yaml").read_text().replace("input: flow_uvs", "input: late")
        Path("space.yaml").write_text(f"extensions: [parts.py]\n{space}")
        pipeline = "pipeline: {align: null, face: 40, apex: [middle]}"
        Path("data.yaml").write_text(
            "{kind: own, name: ours, function: ours, root: clips, arguments: {step: 1}, "
            f"{pipeline}}}\n"
        )
        trainer = "{name: tiny, epochs: 1, batch: 16, augment: {own: {dim: 0.5}}}\n"
        Path("trainer.yaml").write_text(trainer)
        return tiny

    return write


def test_all_of_them_serve_one_search_and_travel_with_the_study(
    words: Callable[..., list[str]], call: Call, tmp_path: Path
) -> None:
    reads = {"network": {"kind": "rcn_a", "inputs": ["late"]}}
    with pytest.raises(ConfigError, match="not 'late'"):  # as nobody has loaded it yet
        parse(reads)
    one = ["study.trials=1", "study.final.candidates=1", "study.final.seeds=1", "study.name=own"]
    made = call("search", *words(), *one)
    assert made.exit_code == 0, made.output
    report = json.loads(Path("runs/own/report.json").read_text())
    assert report["study"]["data"]["counts"] == {
        "clips": 12, "subjects": 3, "negative": 6, "positive": 3, "surprise": 3,
    }  # fmt: skip
    assert report["study"]["data"]["inputs"] == {"late": [1, 28, 28]}
    assert report["answer"]["trainer"]["augment"]["own"] == {"dim": 0.5}
    assert 1 / 3 < report["answer"]["own"]["sure"]["mean"] < 1
    assert parse(reads).inputs == ("late",)  # by a whole network, too
    shutil.move("parts.py", tmp_path / "elsewhere.txt")
    assert call("report", "runs/own").exit_code == 0
    again = call("reproduce", "runs/own/report.json", "ray.workers=0", "--json")
    assert json.loads(again.stdout)["verdict"] == "identical", again.stderr
    Path("clip").mkdir()
    for place, frame in enumerate(np.load("clips/s0_c0_negative.npy")):
        Image.fromarray(frame).save(f"clip/{place:03d}.png")
    words = ["predict", "runs/own/export/rank1", "clip", "--cropped", "--json"]
    command = [sys.executable, "-m", "mer_nas.cli", *words]  # in a process that knows no input
    asked = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert asked.returncode == 0, asked.stderr
    chances = json.loads(asked.stdout)["clips"][0]["probabilities"]
    assert sum(chances.values()) == pytest.approx(1)


def test_a_metric_that_fails_after_hours_ends_no_report(
    words: Callable[..., list[str]], call: Call
) -> None:
    # Of the six clips of noise that a metric is tried with it gives a number.
    late = words("return float(probabilities.max(1).mean())", "return 1 / (len(labels) <= 6)")
    one = ["study.trials=1", "study.final.candidates=1", "study.final.seeds=1", "study.name=own"]
    made = call("search", *late, *one)
    assert made.exit_code == 0, made.output
    (why,) = json.loads(Path("runs/own/report.json").read_text())["answer"]["own_failed"]
    assert why == "parts.py, line 35: the metric 'sure' fails: ZeroDivisionError: division by zero"
    assert "A metric gave no number: parts.py, line 35" in Path("runs/own/report.md").read_text()


def test_an_input_is_what_its_function_makes_of_the_frames(
    words: Callable[..., list[str]], call: Call
) -> None:
    words()
    load_extensions([Path("parts.py")])
    frames = np.zeros((5, 30, 30, 3), dtype=np.uint8)
    frames[2], frames[-1] = 51, 102  # apex and offset, a fifth of 255 apart
    assert make_own("late", frames, 28) == pytest.approx(np.full((1, 28, 28), 0.2))


def test_an_augmentation_draws_from_its_generator_alone_and_amount_zero_asks_nothing(
    words: Callable[..., list[str]],
) -> None:
    words()
    load_extensions([Path("parts.py")])
    clips = {"late": torch.ones(2, 1, 4, 4)}
    chance = torch.Generator().manual_seed(3)
    expected = 1 - 0.5 * torch.rand((), generator=torch.Generator().manual_seed(3))
    assert augment_own(clips, {"dim": 0.5}, chance)["late"].unique() == expected
    assert augment_own(clips, {"dim": 0.0}, chance) is clips


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[None, :size, :size]", "[:size, :size]"),
            "parts.py, line 15: the input 'late' gives (28, 28); an array (1, 28, 28) would be",
        ),
        (
            ("frames[place].mean(-1) for", "frames[place + 9].mean(-1) for"),
            "parts.py, line 15: the input 'late' fails: IndexError: index ",
        ),
        (
            ("frames: np.ndarray, size: int", "frames, size: int"),
            "parts.py, line 15: the input 'late' has no annotation of frames; (frames: ndarray, size",
        ),
        (
            ('@own_input("late"', '@own_input("flow_uvs"'),
            "parts.py, line 15: an input of ours is called 'flow_uvs'",
        ),
        (
            ("step: int = 1", "step=1"),
            "parts.py, line 22: the data set 'ours' has no annotation of step; (root: Path) -> ",
        ),
        (
            ("yield OwnClip(subject, name, label, np.load(file)[::step])", "yield subject"),
            "parts.py, line 22: the data set 'ours' yields 's0'; an OwnClip is right",
        ),
        (
            ("np.load(file)[::step]", "np.load(file)[0, 0, 0]"),
            "the clip s0/c0 has frames (3,) of uint8; (T, H, W, 3) or (T, H, W) of uint8 would be",
        ),
        (
            ("(subject, name, label,", '("s1" if name == "c0" else "sub1", name, label,'),
            "it cannot be told who is one person:\n  's1' (c0); 'sub1' (c3,",
        ),
        (
            ("(subject, name, label,", "(int(subject[1]), name, label,"),
            "the clip 0/c0 has the subject 0; a text would be right",
        ),
        (
            ("(file)[::step])", "(file)[::step], onset=None)"),
            "the clip s0/c0 has the onset None; the place of a frame would be right",
        ),
        (
            ("(file)[::step])", "(file)[::step], apex=np.nan)"),
            "the clip s0/c0 has the apex nan; the place of a frame, or None, would be right",
        ),
        (
            ("(file)[::step])", "(file)[::step], onset=3, apex=2)"),
            "parts.py, line 22: the data set 'ours': ours:s0/c0: the apex 2 is not after the onset",
        ),
        (
            ("file.stem.split(", "file.sten.split("),
            "parts.py, line 22: the data set 'ours' fails: AttributeError: 'PosixPath' object has",
        ),
        (
            ("(subject, name, label,", '(subject, name, "anger",'),
            "the clip s0/c0: no class is called 'anger'; known: negative, positive, surprise",
        ),
        (
            ("return {name: clips * factor for", "return {name: clips[:1] for"),
            "parts.py, line 29: the augmentation 'dim' gives {'late': (1, 1, 28, 28)}; {'late': (",
        ),
        (
            ('@augmentation("dim")', '@augmentation("dimm")'),
            "trainer.augment.own: no augmentation is called 'dim'; known: dimm. Did you mean 'dimm'",
        ),
        (
            ("amount: float, chance", "amount: int, chance"),
            "parts.py, line 29: the augmentation 'dim' has another type of amount; (inputs: ",
        ),
    ],
)
def test_a_mistake_in_a_part_is_one_message_with_its_line_and_nothing_is_begun(
    change: tuple[str, str], message: str, words: Callable[..., list[str]], call: Call
) -> None:
    refused = call("search", *words(*change))
    assert refused.exit_code == 2, refused.output
    assert message in refused.stderr
    assert "Traceback" not in refused.output
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.function=theirs", "no data set is called 'theirs'; known: ours"),
        ("data.arguments.step=many", "data.arguments.step: 'many': Input should be a valid int"),
        ("data.arguments.stop=1", "data.arguments: no argument is called 'stop'; known: step"),
        ("data.function=theirs", "a file among the extensions of the space (space=FILE) would"),
        ("data.root=nowhere", "data.root: there is no folder nowhere; data.root=DIR names it"),
    ],
)
def test_a_data_set_is_asked_with_what_it_takes(
    word: str, message: str, words: Callable[..., list[str]], call: Call
) -> None:
    refused = call("search", *words(), word)
    assert refused.exit_code == 2, refused.output
    assert message in refused.stderr


def test_a_person_written_in_two_ways_is_held_out_as_one(words: Callable[..., list[str]]) -> None:
    words("(subject, name,", '(subject.upper() if name == "c0" else subject, name,')
    load_extensions([Path("parts.py")])
    clips = load(validate(OwnData, yaml.safe_load(Path("data.yaml").read_text()), "data"))
    assert {record.subject for record in clips.records} == {"S0", "s1", "s2"}
    (found,) = clips.findings
    assert found.text == "taken for one: 'S0' (c0), 's0' (c3, c6, c9)"


def test_the_data_set_of_a_space_can_be_looked_at_before_a_search(
    words: Callable[..., list[str]], call: Call
) -> None:
    space, *_ = words()
    found = call("data", "check", space, "data=./data.yaml", "--json")
    counts = {row["what"]: row["found"] for row in json.loads(found.stdout)["counts"]}
    assert (counts["clips"], counts["subjects"]) == (12, 3)
    drawn = call("data", "picture", "out=clips.svg", space, "data=./data.yaml")
    assert Path("clips.svg").exists(), drawn.output


FIVE = """
import numpy as np
from torch import Tensor, tensor
from torch.nn import functional

from mer_nas.evaluation.own_metrics import metric
from mer_nas.training.own_losses import loss


@metric("fifth")
def fifth(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(probabilities[:, 4].mean())


@loss("weighed")
def weighed(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target, tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
"""


def test_losses_and_metrics_are_asked_about_as_many_classes_as_the_data_have(
    tiny: list[str], here: Path
) -> None:
    Path("five.py").write_text(FIVE)
    space = f"extensions: [five.py]\n{Path('space.yaml').read_text()}"
    Path("five.yaml").write_text(space)
    words = ["space=./five.yaml", "trainer.loss=own.weighed"]
    with pytest.raises(ConfigError, match="weight tensor should be defined either for all 3"):
        api.check(*words)
    assert api.check(*words, "data=casme2", "data.labels=five").feasible == 1


def test_check_asks_each_part_on_noise_and_data_without_an_input_are_named(
    words: Callable[..., list[str]], call: Call
) -> None:
    space, trainer, *_ = words("[None, :size, :size]", "[:size, :size]")
    assert "the input 'late' gives (28, 28)" in call("check", space, trainer).stderr


def test_an_input_that_the_data_do_not_give_is_named(
    words: Callable[..., list[str]], call: Call
) -> None:
    space, trainer, *_ = words()
    refused = call("search", space, trainer, "data=megc2019_flow", "data.root=clips")
    assert refused.exit_code == 2
    assert "reads late, but data megc2019_flow provides flow_uvs" in refused.stderr


@pytest.mark.parametrize(
    ("page", "parts", "name"),
    [
        ("own_input", own_inputs.OWN_INPUTS, "edges"),
        ("own_data_set", DATA_SETS, "ours"),
        ("own_augmentation", AUGMENTATIONS, "dim"),
        ("own_metric", OWN_METRICS, "kappa"),
        ("own_loss", LOSSES, "margin"),
    ],
)
def test_the_part_that_a_page_shows_is_one(
    page: str, parts: Functions, name: str, here: Path
) -> None:
    text = (Path(__file__).parents[1] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Path("part.py").write_text(code)
    load_extensions([Path("part.py")])
    assert list(parts) == [name]
    own_inputs.try_inputs(15, 128)
    try_metrics([Path("part.py")], 3)
    for each in LOSSES:
        try_loss(f"own.{each}", 3)
    assert augment_own({"x": torch.ones(1)}, dict.fromkeys(AUGMENTATIONS, 0.3), torch.Generator())


METRIC = """
import numpy as np
from mer_nas.evaluation.own_metrics import metric

@metric("NAME")
def measured(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(len(labels))
"""


def test_a_metric_counts_for_the_spaces_that_name_its_file(here: Path) -> None:
    files = [Path("one.py"), Path("two.py")]
    for file in files:
        file.write_text(METRIC.replace("NAME", file.stem))
    load_extensions(files)  # as a notebook has, that was at two studies
    fold = FoldResult(
        candidate="c", fold="f", fold_name="f", subjects=("a:1",), repetition=0, seed=0, data="d",
        code="v", protocol="p", clips=("a:1/x",), labels=(0,), probabilities=((0.6, 0.4),),
        epochs=1, seconds=0.0,
    )  # fmt: skip
    assert own_scores([fold], files).values == {"one": 1.0, "two": 1.0}
    assert own_scores([fold], files[:1]).values == {"one": 1.0}
    assert own_scores([fold], []).values == {}

"""Named networks under one protocol: how a leaderboard is made, and what the shipped one says."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from pyarrow import parquet
from sklearn.metrics import f1_score

from mer_nas import api
from mer_nas.config import presets

Call = Callable[..., Result]
SHIPPED = Path(__file__).parents[2] / "studies" / "leaderboard"
ROWS = sorted(file.parent for file in SHIPPED.glob("*/evaluation.json"))


@pytest.fixture
def words(tiny: list[str]) -> list[str]:
    """The words of a leaderboard of the smallest space."""
    return ["evaluate", "--leaderboard", "board", *tiny, "study.folds=loso", "seeds=1"]


def test_every_named_network_is_measured_once_by_its_own_recipe_and_by_the_trainer(
    words: list[str], tiny: list[str], call: Call
) -> None:
    planned = json.loads(call(*words, "--plan", "--json").stdout)
    assert {entry["name"] for entry in planned["entries"]} == {"seed-own", "seed-tiny"}
    assert not Path("board").exists()
    made = call(*words)
    assert made.exit_code == 0, made.output
    assert made.stderr.count(" folds; about ") == 2 * 4
    scores = {
        name: json.loads(Path("board", name, "evaluation.json").read_text())["protocols"]["LOSO"]
        for name in ("seed-own", "seed-tiny")
    }
    table = Path("board/README.md").read_text()
    for name, (score,) in scores.items():
        recipe = name.removeprefix("seed-")
        assert re.search(rf"\| seed \| {recipe} \|.*\| {score['uf1']:.3f} \| \[", table)
    assert call(*words).stderr.count(" folds; about ") == 0  # nothing is measured again
    assert Path("board/README.md").read_text() == table
    # A network of one's own becomes a row beside them, or is held against each.
    closed = ["space.architecture.paths.0.stages.repeat=1", "space.trainer.lr=5e-3"]
    mine = [*closed, "space.architecture.paths.0.stem.width=16"]
    assert call("evaluate", *tiny, *mine, "study.folds=loso", "--quiet").exit_code == 0
    found = json.loads(call("compare", "board", "small", "--json").stdout)
    names = [row["name"] for row in found["rows"]]
    assert names[2] == "evaluated:small"
    assert {*names[:2]} == {"board:seed-own", "board:seed-tiny"}
    assert found["rows"][0]["uf1"]["value"] >= found["rows"][1]["uf1"]["value"]
    first = json.loads(call("compare", "small", "board:seed-own", "--json").stdout)["rows"]
    assert [row["name"] for row in first] == ["evaluated:small", "board:seed-own"]


def test_each_leaderboard_holds_its_own_protocol_and_goes_on_with_no_other(
    words: list[str], call: Call
) -> None:
    other = {"board": "groups", "study.folds=loso": "study.folds=2"}
    groups = [other.get(word, word) for word in words]
    Path("groups/seed-own").mkdir(parents=True)  # as an interruption leaves it
    for command in (words, groups):
        made = call(*command)
        assert made.exit_code == 0, made.output
    for folder, protocol in (("board", "LOSO"), ("groups", "2 subject groups, study.seed=0")):
        table = Path(folder, "README.md").read_text()
        assert f"faces, {protocol}, 1 seed, " in table
        for name in ("seed-own", "seed-tiny"):
            found = json.loads(Path(folder, name, "evaluation.json").read_text())["protocols"]
            assert list(found) == [protocol]
            assert f"| {found[protocol][0]['uf1']:.3f} | [" in table
            said = parquet.read_table(Path(folder, name, "predictions.parquet")).to_pydict()
            assert {*said["protocol"]} == {protocol.partition(",")[0]}
    for word, message in (
        ("study.folds=2", "its rows are of protocol LOSO, not 2 subject groups, study.seed=0; "),
        ("seeds=2", "its rows are of seeds 1, not 2; "),
        ("data.clips=40", "its rows are of other clips of faces; "),
        ("trainer.epochs=2", "seed-own was measured by another recipe; "),
    ):
        refused = call(*words, word)
        assert refused.exit_code == 2, refused.output
        assert refused.stderr.splitlines()[-1].startswith(f"mer-nas: board: {message}")


def test_a_row_that_takes_too_long_has_a_cost_and_no_score(words: list[str], call: Call) -> None:
    pace = "study.pace={per_operation: 1000, per_mac: 0, per_value: 0}"  # a step takes hours
    made = call(*words, pace)
    assert made.exit_code == 0, made.output
    table = Path("board/README.md").read_text()
    assert len(re.findall(r"h on one core, and a row may take 2: a GPU", table)) == 2
    assert [path.name for path in sorted(Path("board").iterdir())] == [
        "README.md",
        "leaderboard.json",
    ]
    for word, said in (
        ("board", "no row of this leaderboard is measured yet"),
        ("board:seed-own", "seed-own is not measured: about "),
    ):
        refused = call("compare", word, word)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("mer-nas: board: ")
        assert said in refused.stderr


def test_a_file_in_the_place_of_a_row_is_one_message(words: list[str], call: Call) -> None:
    Path("board").mkdir()
    for name in ("seed-own", "seed-tiny"):
        Path("board", name).touch()
    refused = call(*words)
    assert refused.exit_code == 2
    assert re.search(
        r"mer-nas: board/seed-\w+: no folder can be made there: file exists\n$", refused.stderr
    )


def test_the_command_of_a_leaderboard_says_nothing_of_where_the_clips_lay(
    words: list[str], call: Call
) -> None:
    api.synthesize(layout="casme2", out="mine/set", size=32, frames=3)
    data = ["data=casme2", "data.pipeline.align=none"]
    here = ["data.roots.casme2=mine/set", "data.cache=mine/kept"]
    pace = "study.pace={per_operation: 1000, per_mac: 0, per_value: 0}"  # a step takes hours
    made = call(*words, *data, *here, pace)
    assert made.exit_code == 0, made.output
    command = json.loads(Path("board/leaderboard.json").read_text())["command"]
    assert " data=casme2 data.pipeline.align=none " in command
    assert "mine" not in command


def test_a_leaderboard_is_of_no_single_network_and_of_clips_that_some_can_read(
    words: list[str], call: Call
) -> None:
    refused = call(*words, "point=seed")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "mer-nas: a leaderboard holds every named network; no point= would be right\n",
    )
    refused = call(*words, "data.size=32")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        "mer-nas: no named network fits: the first one reads inputs of 28 pixels, but data faces"
    )


def test_an_evaluation_with_fewer_seeds_leaves_those_of_before(
    tiny: list[str], call: Call
) -> None:
    for seeds in (2, 1):
        done = call("evaluate", *tiny, "point=seed", "study.folds=2", f"seeds={seeds}")
        assert done.exit_code == 0, done.output
    (file,) = Path("runs/evaluations").glob("*/evaluation.json")
    (scores,) = json.loads(file.read_text())["protocols"].values()
    assert [score["repetition"] for score in scores] == [0, 1]


# The shipped one


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_scores_of_a_shipped_row_follow_from_its_predictions(row: Path) -> None:
    said = json.loads((row / "evaluation.json").read_text())
    table = parquet.read_table(row / "predictions.parquet").to_pydict()
    for score in said["protocols"]["LOSO"]:
        chosen = [
            (label, guess)
            for label, guess, seed in zip(
                table["label"], table["predicted"], table["repetition"], strict=True
            )
            if seed == score["repetition"]
        ]
        assert len(chosen) == said["data"]["counts"]["clips"]
        assert score["uf1"] == pytest.approx(f1_score(*zip(*chosen, strict=True), average="macro"))


def test_a_network_stands_in_the_shipped_table_measured_or_with_the_reason_why_not() -> None:
    board = json.loads((SHIPPED / "leaderboard.json").read_text())
    named = {
        entry["name"]
        for name in presets.names("space")
        for part in ("points", "references")
        for entry in presets.read("space", name).get(part, ())
    }
    assert {name for e in board["entries"] for name in (e["origin"], *e["also"])} == named
    table = (SHIPPED / "README.md").read_text()
    done, lacking = table.split("## Not measured")
    assert done.count(" [") > len(ROWS)
    for entry in board["entries"]:
        where = done if (SHIPPED / entry["name"]).is_dir() else lacking
        assert f"| {', '.join((entry['origin'], *entry['also']))} | {entry['recipe']} |" in where


def test_the_shipped_leaderboard_is_compared_without_a_clip(call: Call, here: Path) -> None:
    found = json.loads(call("compare", "leaderboard", "--json").stdout)
    assert [row["name"] for row in found["rows"]] == sorted(
        (f"leaderboard:{row.name}" for row in ROWS),
        key=lambda name: -next(r["uf1"]["value"] for r in found["rows"] if r["name"] == name),
    )
    assert (found["clips"], found["subjects"], found["protocol"]) == (309, 40, "LOSO")
    for row in ROWS:  # and says nothing of where the clips lay
        assert not re.search(r'"root|"/', (row / "evaluation.json").read_text())

"""Ensembles of a study, against the lines of its ledger."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import f1_score

from mer_nas.errors import ConfigError
from mer_nas.search.config import EnsembleConfig
from mer_nas.settings import Settings, resolve
from mer_nas.study.clips import load_clips
from mer_nas.study.folder import StudyFolder, create
from mer_nas.study.run import run
from mer_nas.study.state import StudyState

SMALL = (
    "data.subjects=6",
    "data.clips=36",
    "ray.workers=0",
    "study.trials=5",
)
FINAL = ("study.final.candidates=1", "study.final.folds=2", "study.final.best_epoch=false")
Run = Callable[..., StudyState]


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[[Path], list[str]]
) -> Iterator[Run]:
    """Runs a search of seconds with further words, once for each; no export and no page."""
    folder = tmp_path_factory.mktemp("ensembles")
    words = [word.replace("./", f"{folder}/") for word in write_tiny(folder)]
    known: dict[tuple[str, ...], StudyState] = {}

    def state(*more: str) -> StudyState:
        if more not in known:
            place = folder / f"study-{len(known)}"
            final = () if "study.final=none" in more else FINAL
            read = resolve([*words, *SMALL, *final, *more, f"study.folder={place}"])
            known[more] = searching(read)
        return known[more]

    def no_page(folder: Path, report: Any) -> None:
        (folder / "report.json").write_text(report.to_json())

    module = import_module("mer_nas.study.run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "export_winner", lambda *_: None)
        patch.setattr(module.report, "write_report", no_page)
        yield state


def searching(settings: Settings) -> StudyState:
    assert settings.study.folder is not None
    clips, folder = load_clips(settings), StudyFolder(settings.study.folder)
    create(settings, clips, "mer-nas search")
    run(folder, clips)
    return StudyState(folder, folder.origin())


def report(state: StudyState) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state.folder.path / "report.json").read_text())
    return found


def lines(state: StudyState) -> list[dict[str, Any]]:
    rows = state.folder.ledger.read_text().splitlines()[1:]
    return [json.loads(row) for row in rows]


def uf1_of_mean(
    rows: list[dict[str, Any]], keys: Sequence[str] | Mapping[str, float], repetition: int = 0
) -> float:
    """Return the UF1 of the mean of the probabilities of some candidates, from a ledger's lines.

    Where `keys` gives each a weight, of the weighted mean.
    """
    weights = keys if isinstance(keys, Mapping) else dict.fromkeys(keys, 1 / len(keys))
    said: dict[str, list[NDArray[np.float64]]] = {}
    labels: dict[str, int] = {}
    for row in rows:
        if row["candidate"] in keys and row["repetition"] == repetition:
            for clip, label, p in zip(
                row["clips"], row["labels"], row["probabilities"], strict=True
            ):
                said.setdefault(clip, []).append(weights[row["candidate"]] * np.array(p))
                labels[clip] = label
    assert {len(each) for each in said.values()} == {len(keys)}
    chosen = [int(np.argmax(np.sum(said[clip], axis=0))) for clip in labels]
    truth = list(labels.values())
    found: float = f1_score(
        truth, chosen, labels=sorted(set(truth)), average="macro", zero_division=0
    )
    return found


MEAN = (
    "study.final.seeds=2",
    "study.final.ensemble.rule=mean",
    "study.final.ensemble.members=3",
)


def test_the_members_are_the_best_of_the_search_and_all_go_through_the_final_stage(
    searched: Run,
) -> None:
    state = searched(*MEAN)
    together = report(state)["study"]["ensemble"]
    trials = [t for t in report(state)["study"]["trials"] if t["outcome"] == "complete"]
    best = sorted(trials, key=lambda trial: (-trial["value"], trial["number"]))[:3]
    assert [member["trial"] for member in together["members"]] == [t["number"] for t in best]
    assert [member["weight"] for member in together["members"]] == pytest.approx([1 / 3] * 3)
    finalists = report(state)["study"]["finalists"]
    assert {f["trial"] for f in finalists} == {trial["number"] for trial in best}
    assert [len(f["scores"]) for f in finalists] == [2, 2, 2]


def test_an_ensemble_is_scored_seed_by_seed_by_the_mean_of_its_members_probabilities(
    searched: Run,
) -> None:
    state = searched(*MEAN)
    together = report(state)["study"]["ensemble"]
    assert (together["stage"], together["protocol"]) == ("final", "2 subject groups")
    keys = [member["key"] for member in together["members"]]
    assert [score["uf1"] for score in together["scores"]] == pytest.approx(
        [uf1_of_mean(lines(state), keys, repetition) for repetition in (0, 1)]
    )


def test_without_a_final_stage_the_folds_of_the_search_serve(searched: Run) -> None:
    state = searched("study.final=none")
    together = report(state)["study"]["ensemble"]
    assert (together["rule"], together["stage"]) == ("weights", "search")
    (score,) = together["scores"]
    weights = {member["key"]: member["weight"] for member in together["members"]}
    assert score["uf1"] == pytest.approx(uf1_of_mean(lines(state), weights))
    assert together["search_score"] == score["uf1"]


@pytest.mark.parametrize("words", [MEAN, ("study.final=none",)])
def test_the_ensemble_is_handed_over_and_the_best_one_alone_is_told_beside_it(
    searched: Run, words: tuple[str, ...]
) -> None:
    found = report(searched(*words))
    together, answer = found["study"]["ensemble"], found["answer"]
    single = found["study"]["finalists"] or sorted(
        found["study"]["trials"], key=lambda trial: -trial["value"]
    )
    scores = single[0].get("scores")
    alone = np.mean([s["uf1"] for s in (scores if isinstance(scores, list) else [scores])])
    mean = np.mean([score["uf1"] for score in together["scores"]])
    assert together["handed_over"]
    assert [each["trial"] for each in answer["members"]] == [
        each["trial"] for each in together["members"]
    ]
    assert answer["uf1"]["mean"] == pytest.approx(mean)
    assert answer["alternative"]["uf1"]["mean"] == pytest.approx(alone)
    assert answer["alternative"]["difference"]["value"] == pytest.approx(mean - alone)
    assert found["study"]["headline"]["mean"] == pytest.approx(mean)


def test_the_optimism_is_that_of_choosing_members_and_weights(searched: Run) -> None:
    facts = report(searched(*MEAN))["study"]
    together, chosen = facts["ensemble"], facts["selection"]
    assert chosen["score"] == together["correction"]["score"] == together["search_score"]
    assert chosen["optimism"] == together["correction"]["optimism"] >= 0
    assert facts["headline"]["optimism"] == chosen["optimism"]


def test_a_report_that_is_written_again_says_the_same(searched: Run) -> None:
    from mer_nas.study.run import rewrite_report

    state = searched(*MEAN)
    before = (state.folder.path / "report.json").read_bytes()
    rewrite_report(state.folder)
    assert (state.folder.path / "report.json").read_bytes() == before


def test_a_study_of_before_has_no_ensemble_and_measures_no_further_candidate(
    searched: Run, tmp_path: Path
) -> None:
    tree = searched(*MEAN).settings.dump()
    del tree["study"]["final"]["ensemble"]
    assert Settings.load(tree, "settings.yaml").study.ensemble is None


def test_an_ensemble_that_an_inner_search_hands_over_is_asked_about_the_outer_group(
    searched: Run,
) -> None:
    final = ("study.final.seeds=1", "study.final.ensemble.rule=mean")
    state = searched("study.outer=2", "study.trials=3", *final)
    nested = report(state)["study"]["nested"]
    rows = [json.loads(row) for row in state.folder.answers.read_text().splitlines()[1:]]
    everybody = []
    for group, inner in zip(nested["groups"], state.inner, strict=True):
        assert inner is not None
        assert inner.ensemble is not None
        assert (group["winner"], group["origin"]) == ("ensemble of 3", "mean")
        assert group["key"] == inner.ensemble.key
        asked = [row for row in rows if row["fold_name"] == group["name"]]
        keys = [member.candidate.key for member in inner.ensemble.members]
        assert sorted(row["candidate"] for row in asked) == sorted(keys)
        everybody += [
            {**row, "candidate": f"member {keys.index(row['candidate'])}"} for row in asked
        ]
    together = uf1_of_mean(everybody, [f"member {place}" for place in range(3)])
    assert [score["uf1"] for score in nested["scores"]] == [pytest.approx(together)]


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (("study.final=none", "study.trials=1"), "1 complete trial, and an ensemble needs two"),
        (
            ("study.objectives=[uf1, macs]", "study.final=none", "study.trials=3"),
            "with several objectives there is a front and no best few",
        ),
        (("study.sampler=points", "study.final=none"), "a points study compares its rows"),
        (
            ("study.final.ensemble.params=100", "study.final.seeds=1", "study.trials=3"),
            "no complete trial costs as little as study.final.ensemble.params=100",
        ),
    ],
)
def test_where_there_is_no_ensemble_the_report_says_why(
    searched: Run, words: tuple[str, ...], note: str
) -> None:
    facts = report(searched(*words))["study"]
    assert (facts["ensemble"], facts["ensemble_note"]) == (None, note)


def flow_images(root: Path, classes: int) -> list[str]:
    """Write flow images of three data sets, of which the class is the colour; return the words."""
    images, lines = root / "datasets" / "STSNet_whole_norm_u_v_os", [COLUMNS]
    images.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for dataset, subject, clip in itertools.product(("casme2", "samm", "smic"), "abc", range(5)):
        label = clip % classes
        pixels = chance.integers(0, 60, (28, 28, 3), dtype=np.uint8)
        pixels[5 * label : 5 * label + 5] += 150
        Image.fromarray(pixels).save(images / f"{subject}_{dataset}{clip} .png")
        lines.append(f"{dataset},{subject},{dataset}{clip},{label},,")
    (root / "combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n")
    names = "[anger, disgust, fear, joy, surprise]"
    return ["data=megc2019_flow", f"data.root={root}", f"data.classes={names}"]


COLUMNS = "dataset,sub,filename_o,label,apex,imagename"


def test_five_classes_with_one_data_set_left_out_at_a_time_are_answered_together(
    tmp_path: Path, write_tiny: Callable[[Path], list[str]]
) -> None:
    words = [word.replace("./", f"{tmp_path}/") for word in write_tiny(tmp_path)]
    words = [word for word in words if not word.startswith("data=")]
    final = ("study.final.folds=lodo", "study.final.seeds=1", "study.final.ensemble.members=2")
    more = ("study.trials=3", "study.folds=lodo", *final, f"study.folder={tmp_path / 'study'}")
    state = searching(resolve([*words, *flow_images(tmp_path / "flow", 5), *SMALL[2:3], *more]))
    together = report(state)["study"]["ensemble"]
    assert (together["protocol"], len(together["members"])) == ("LODO", 2)
    (score,) = together["scores"]
    assert np.array(score["confusion"]).shape == (5, 5)
    assert [part["name"] for part in score["datasets"]] == ["casme2", "samm", "smic"]
    keys = [member["key"] for member in together["members"]]
    assert score["uf1"] == pytest.approx(uf1_of_mean(lines(state), keys))


def test_a_limit_that_only_one_member_fits_leaves_the_best_candidate_alone(searched: Run) -> None:
    state = searched("study.final=none")
    costs = sorted(m["macs"] for m in report(state)["study"]["ensemble"]["members"])
    found, why = state.ensemble_by(EnsembleConfig(macs=costs[0]))
    assert found is None
    assert f"alone within study.final.ensemble.macs={costs[0]:,}" in why


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("study.final.ensemble.members=0", "greater than or equal to 2"),
        ("study.final.ensemble.members=1", "greater than or equal to 2"),
        ("study.final.ensemble.macs=0", "greater than 0"),
        ("study.final.ensemble.rule=median", "mean"),
        ("study.final.ensemble.size=3", "members"),
    ],
)
def test_a_setting_that_makes_no_ensemble_is_one_message(
    here: Path, tiny: list[str], word: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([*tiny, word])
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_who_left_the_race_ranks_after_those_who_stayed_and_members_stay_for_all_seeds(
    searched: Run,
) -> None:
    words = ("study.final.seeds=3", "study.final.folds=loso", "study.final.chance=0.9")
    more = ("study.final.candidates=4", "study.final.ensemble.members=2")
    facts = report(searched(*words, *more))["study"]
    ranked = sorted(facts["finalists"], key=lambda finalist: finalist["rank"])
    left = [bool(finalist["left"]) for finalist in ranked]
    assert True in left
    assert left == sorted(left)
    members = {member["trial"] for member in facts["ensemble"]["members"]}
    for finalist in ranked:
        assert (len(finalist["scores"]) < 3) == bool(finalist["left"])
        if finalist["left"]:
            assert "as good as the leader in " in finalist["left"]
            assert finalist["trial"] not in members
    assert [score["repetition"] for score in facts["ensemble"]["scores"]] == [0, 1, 2]

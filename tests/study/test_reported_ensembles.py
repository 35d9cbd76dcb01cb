"""An ensemble from the search to its reproduction, of five classes; nothing is trained for it.

Candidates answer by rule: each is wrong about a third of the clips, and unsure there, so that any
two of different thirds are right together about every clip.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mer_nas.data.clips import ClipSet
from mer_nas.errors import TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.results import FoldResult
from mer_nas.provenance import code_version
from mer_nas.report import Report, build_report, read_report
from mer_nas.report.files import as_markdown
from mer_nas.search.events import Event, Note, ignore
from mer_nas.settings import resolve
from mer_nas.study.clips import load_clips
from mer_nas.study.compare import compare_candidates
from mer_nas.study.folder import StudyFolder, create
from mer_nas.study.reproduction.consistency import contradictions
from mer_nas.study.reproduction.followed import followed
from mer_nas.study.reproduction.reported_result import read_reported_result
from mer_nas.study.reproduction.reproduce import reproduce
from mer_nas.study.run import run

CLASSES = ("anger", "disgust", "fear", "happiness", "surprise")
SUBJECTS, MEMBERS, SEEDS = 6, 5, 2
WORDS = (
    f"data.subjects={SUBJECTS}",
    "data.clips=60",
    "ray.workers=0",
    "study.trials=6",
)


@dataclass
class Made:
    """A study that hands over an ensemble."""

    folder: StudyFolder
    clips: ClipSet

    @property
    def file(self) -> Path:
        return self.folder.path / "report.json"

    @property
    def report(self) -> Report:
        return read_report(self.file)


def answering(places: dict[str, int]) -> Callable[..., FoldResult]:
    """Return what stands for a fold; candidates are wrong about thirds in turn."""

    def fold(
        self: Evaluator, candidate: Candidate, index: int, repetition: int = 0, _: Any = None
    ) -> FoldResult:
        place, held_out = (
            places.setdefault(candidate.key, len(places)) % 3,
            self.protocol.folds[index],
        )
        records = [(clip, self.clips.records[clip]) for clip in held_out.test(self.clips)]
        rows = []
        for clip, record in records:
            row = [0.05] * len(CLASSES)
            row[record.label] = 0.4 if clip % 3 == place else 0.8
            if clip % 3 == place:
                row[(record.label + 1) % len(CLASSES)] = 0.45
            rows.append(tuple(row))
        return FoldResult(
            candidate=candidate.key,
            fold=held_out.key,
            fold_name=held_out.name,
            subjects=held_out.subjects,
            repetition=repetition,
            seed=self.seed,
            data=self.clips.fingerprint,
            code=code_version(self.extensions),
            protocol=self.protocol.name,
            clips=tuple(record.id for _, record in records),
            labels=tuple(record.label for _, record in records),
            probabilities=tuple(rows),
            epochs=1,
            seconds=0.0,
        )

    return fold


def searched(folder: Path, tiny: list[str], fold: Callable[..., FoldResult], seeds: int) -> Made:
    """Make a study whose folds are `fold`'s."""
    words = [word.replace("./", f"{folder}/") for word in tiny]
    final = f"study.final={{candidates: 1, seeds: {seeds}, warm_starts: 0, best_epoch: false}}"
    settings = resolve([*words, *WORDS, final, f"study.folder={folder / 'study'}"])
    found = load_clips(settings)
    records = tuple(replace(r, label=n % len(CLASSES)) for n, r in enumerate(found.records))
    clips = replace(found, classes=CLASSES, records=records, official=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "fold", fold)
        patch.setattr(import_module("mer_nas.study.run"), "export_winner", lambda *_: None)
        create(settings, clips, "mer-nas search")
        run(StudyFolder(folder / "study"), clips, ignore)
    return Made(StudyFolder(folder / "study"), clips)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[[Path], list[str]]
) -> Iterator[Made]:
    folder, fold = tmp_path_factory.mktemp("together"), answering({})
    study = searched(folder, write_tiny(folder), fold, SEEDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "fold", fold)
        yield study


def test_an_ensemble_that_is_always_right_is_handed_over_and_says_so(made: Made) -> None:
    report = made.report
    answer = report.answer
    assert answer is not None
    other = answer.alternative
    assert other is not None
    assert (answer.label, answer.uf1.mean, answer.uf1.seeds) == ("ensemble of 5", 1.0, SEEDS)
    assert other.uf1.mean == pytest.approx(2 / 3, abs=0.05)
    assert other.difference is not None
    assert other.difference.value == pytest.approx(1 - other.uf1.mean)
    assert report.study.headline is not None
    assert report.study.headline.mean == 1.0
    assert report.study.comparisons[0].difference.value == other.difference.value
    assert report.confusion is not None
    assert [list(row).index(24) for row in report.confusion.counts] == list(range(5))
    assert "| | anger | disgust | fear | happiness | surprise | clips |" in as_markdown(report)
    assert contradictions(report) == []


def test_compare_takes_the_ensemble_for_the_study(made: Made) -> None:
    path = str(made.folder.path)
    found = compare_candidates([path, f"{path}:rank1"])
    assert [row.uf1.value for row in found.rows] == [1.0, pytest.approx(2 / 3, abs=0.05)]


def test_to_reproduce_an_ensemble_its_members_are_trained_and_combined_seed_by_seed(
    made: Made, here: Path
) -> None:
    done = reproduce(
        read_reported_result(str(made.file), ["ray.workers=0"]), made.clips, ignore, here
    )
    assert done.verdict == "identical"
    found = {number.name: number.found for number in done.numbers}
    assert (found["UF1, seed 1"], found["UF1, seed 2"], found["UF1, mean"]) == (1.0, 1.0, 1.0)
    assert done.reported.answer.members
    for member in done.reported.answer.members:
        assert found[f"{member.label}: UF1, seed 2"] == pytest.approx(2 / 3, abs=0.05)
    assert done.folder is not None
    lines = (done.folder / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == 1 + MEMBERS * SEEDS * SUBJECTS


def test_a_seed_that_the_report_holds_no_score_of_may_fail_again_and_no_other(
    write_tiny: Callable[[Path], list[str]], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first candidate that comes to a second seed of three fails with it, then and now."""
    right, failing, seeds = answering({}), dict[str, int](), [1]

    def unlucky(self: Evaluator, candidate: Candidate, index: int, seed: int, *rest: Any) -> Any:
        if seed in seeds and candidate.key in (failing or [candidate.key]):
            failing[candidate.key] = seed
            raise RuntimeError("no such luck")
        return right(self, candidate, index, seed, *rest)

    study = searched(here, write_tiny(here), unlucky, 3)
    answer = study.report.answer
    assert answer is not None
    assert (answer.label, answer.uf1.seeds) == ("ensemble of 5", 2)
    monkeypatch.setattr(Evaluator, "fold", unlucky)
    reported, heard = read_reported_result(str(study.file), ["ray.workers=0"]), list[Event]()
    done = reproduce(reported, study.clips, heard.append, here / "again")
    assert done.verdict == "identical"
    found = {number.name for number in done.numbers}
    assert {"UF1, seed 1", "UF1, seed 2"} <= found
    assert "UF1, seed 3" not in found
    (said,) = [event.text for event in heard if isinstance(event, Note) and "luck" in event.text]
    assert said.endswith(
        ", seed 2 of 3 cannot be trained here: RuntimeError: no such luck; the report holds no "
        "score of it"
    )
    seeds[:] = [2]
    with pytest.raises(TrainingFailed, match=r", seed 3 of 3 cannot be trained here: Runtime"):
        reproduce(reported, study.clips, ignore, here / "other")


def test_a_forged_score_of_an_ensemble_is_found_even_where_all_else_agrees_with_it(
    made: Made, here: Path
) -> None:
    tree = json.loads(made.file.read_text())
    for scores in tree["study"]["ensemble"]["scores"]:
        row = scores["subjects"][0][0]
        row[0], row[1] = row[0] - 1, row[1] + 1  # one clip less than it got right
    forged = followed(Report.model_validate(tree))
    file = here / "report.json"
    file.write_text(forged.to_json())
    assert contradictions(forged) == []
    done = reproduce(read_reported_result(str(file), ["ray.workers=0"]), made.clips, ignore, here)
    assert done.verdict == "different"
    (score,) = [number for number in done.numbers if number.name == "UF1, seed 1"]
    assert (score.verdict, score.found) == ("different", 1.0)
    assert score.stored < 0.99


def test_a_score_that_its_confusions_do_not_give_is_named(made: Made) -> None:
    tree = json.loads(made.file.read_text())
    tree["study"]["ensemble"]["scores"][0]["uf1"] = 0.5
    found = {".".join(place): value for place, _, value in contradictions(Report(**tree))}
    assert found["study.ensemble.scores.0.uf1"] == 1.0


def test_an_ensemble_cannot_be_kept_back(made: Made) -> None:
    study = made.report.study
    assert study.ensemble is not None
    kept_back = study.ensemble.model_copy(update={"handed_over": False})
    forged = build_report(study.model_copy(update={"ensemble": kept_back}))
    found = {".".join(place): value for place, _, value in contradictions(forged)}
    assert found["answer.uf1.mean"] == 1.0


def test_the_optimism_of_the_choice_is_its_score_less_the_corrected_one(made: Made) -> None:
    tree = json.loads(made.file.read_text())
    assert tree["study"]["ensemble"]["correction"]["score"] == 1.0
    tree["study"]["ensemble"]["correction"]["optimism"] += 0.1
    found = {".".join(place) for place, _, _ in contradictions(Report(**tree))}
    assert found == {"study.ensemble.correction.optimism"}

"""A study made up by hand: every kind of trial, finalists with three seeds, a label to escape."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mer_nas.export.manifest import Exported
from mer_nas.report import (
    Attribution,
    BlockPoint,
    Comparison,
    ComputeSummary,
    DatasetScores,
    DataSummary,
    EnsembleSummary,
    ExpertAttribution,
    FinalistSummary,
    GateAttribution,
    Headline,
    HindsightSummary,
    LossCurve,
    MemberSummary,
    NestedEstimate,
    NextStep,
    OuterGroup,
    SeedScores,
    SelectionBias,
    StudySummary,
    TrialSummary,
    build_report,
    write_report,
)
from mer_nas.report.files import Written
from mer_nas.statistics import Correction, Estimate, PairedComparison
from mer_nas.wording import count

CLASSES = ("negative", "positive", "surprise")
GATE = "architecture.paths.0.stages.1.gate.kind"
RATE = "trainer.lr"
POINTS = ("dre_s", "prog_s", "hyb_ms_prog_expert")
ARCHITECTURE: dict[str, Any] = {
    "paths": [
        {
            "input": "flow_uvs",
            "size": 28,
            "stem": {
                "kind": "conv",
                "kernel": 3,
                "stride": 1,
                "width": 16,
                "multi_scale": {"kind": "parallel", "kernels": [3, 5, 7, 9]},
                "pool": False,
            },
            "shared": {"prog": {"carry": "mul", "kernel": 1}},
            "stages": [
                {
                    "growth": growth,
                    "down": {"kind": "none" if growth == 1 else "in_block"},
                    "local": {"kind": "res_basic", "blocks": 1},
                    "global": {"kind": "none"},
                    "gate": {"kind": "prog"},
                }
                for growth in (1, 2, 2, 2)
            ],
        }
    ],
    "head": {"kind": "gap", "norm": False, "dropout": 0.0},
    "drop_path": 0.0,
    "losses": {"balance": 0.0},
}


SEEN = (((0.1, 0.2), (0.3, 0.4)),) * 3
LOOKS = Attribution(
    key="00000000001b",
    clips=8,
    input="flow_uvs",
    seen=SEEN,
    experts=(
        ExpertAttribution(
            layer="stage 1, layer 1",
            experts=2,
            chosen=1,
            use=((0.71, 0.29), (0.55, 0.45), (0.52, 0.48)),
            maps=(tuple(SEEN[:2]),) * 3,
        ),
        ExpertAttribution(
            layer="stage 2, layer 1",
            experts=2,
            chosen=2,
            use=((0.6, 0.4), (0.5, 0.5), (0.4, 0.6)),
        ),
    ),
    gates=(
        GateAttribution(layer="stage 1", maps=(((0.51, 0.52),), ((0.53, 0.54),), ((0.55, 0.56),))),
    ),
)


def scores(repetition: int, *rows: tuple[int, int, int]) -> SeedScores:
    """Return the scores that follow from a confusion matrix of three classes."""
    columns = list(zip(*rows, strict=True))
    recalls = [row[i] / sum(row) for i, row in enumerate(rows)]
    f1s = [2 * row[i] / (sum(row) + sum(columns[i])) for i, row in enumerate(rows)]
    hits = sum(row[i] for i, row in enumerate(rows))
    return SeedScores(
        repetition=repetition,
        uf1=sum(f1s) / 3,
        uar=sum(recalls) / 3,
        accuracy=hits / sum(map(sum, rows)),
        confusion=rows,
    )


def trial(number: int) -> TrialSummary:
    """Return one of 30 trials: three published points, then a search with every outcome."""
    warm = number < len(POINTS)
    value = 0.62 + 0.006 * number + 0.05 * math.sin(1.7 * number)
    outcome: Any = "complete"
    if not warm and number % 3 == 1:
        outcome = "pruned"
    outcome = {9: "failed", 14: "infeasible", 21: "duplicate"}.get(number, outcome)
    steps = {"complete": 10, "pruned": 3 + number % 4}.get(outcome, 0)
    curve = [
        BlockPoint(clips=k / 10, uf1=value * (1 - math.exp(-0.45 * k)))
        for k in range(1, steps + 1)
    ]
    built = outcome in ("complete", "pruned", "failed")
    return TrialSummary(
        number=number,
        outcome=outcome,
        value=value if outcome == "complete" else None,
        curve=tuple(curve),
        params={GATE: ("prog", "none")[number % 2], RATE: 1e-4 * 1.25**number},
        parameters=20_000 + 11_003 * (number * 7 % 29) if built else None,
        macs=2_000_000 + 731_000 * (number * 5 % 31) if built else None,
        seconds=12.5 + number if built else 0.0,
        key=f"{number:012x}" if built else "",
        origin=POINTS[number] if warm else "tpe",
        warm_start=warm,
        source=f"doi:10.1234/{POINTS[number]}" if warm else "",
        fidelity="reading" if warm else None,
        architecture=ARCHITECTURE if outcome == "complete" else None,
        trainer={"lr": 1e-3} if outcome == "complete" else None,
        error={
            9: "RuntimeError: the loss is <nan> after 3 steps",
            14: "paths.0: 'top_k <= experts' does not hold",
        }.get(number, ""),
    )


def finalist(
    rank: int, label: str, number: int, *scored: SeedScores, warm: bool = False
) -> FinalistSummary:
    return FinalistSummary(
        rank=rank,
        label=label,
        key=trial(number).key,
        origin=label if warm else "tpe",
        warm_start=warm,
        trial=number,
        architecture=ARCHITECTURE,
        trainer={"epochs": 30, "lr": 1e-3},
        source=f"doi:10.1234/{label}" if warm else "",
        fidelity="reading" if warm else None,
        parameters=318_463,
        deployed=300_001,
        macs=21_472_000,
        step_ms=41.25,
        clip_ms=2.5,
        search_score=trial(number).value,
        scores=scored,
    )


@pytest.fixture(scope="session")
def facts() -> StudySummary:
    return StudySummary(
        name="moe-synthetic-1",
        folder="runs/moe-synthetic-1",
        space="moe",
        command="mer-nas search space=moe.yaml",
        settings={"study": {"trials": 30, "folds": 4}, "note": "<script>alert(1)</script>"},
        seed=0,
        written=datetime(2026, 11, 20, 17, 30, tzinfo=UTC),
        code_version="0123456789ab",
        environment={"python": "3.11.9", "packages": {"torch": "2.15.0"}},
        data=DataSummary(
            name="synthetic",
            fingerprint="fedcba9876543210",
            classes=CLASSES,
            counts={"clips": 100, "subjects": 14, "negative": 60, "positive": 22, "surprise": 18},
            official={"clips": 442, "subjects": 68},
            subjects={f"synthetic:{k:02}": 2 + k for k in range(14)},
            inputs={"flow_uvs": (3, 28, 28)},
        ),
        search_protocol="4 subject groups",
        final_protocol="LOSO",
        sampler="tpe",
        pruner="bound, margin 0.02",
        timed_on="a processor, one thread",
        stopped="30 trials are done",
        trials=tuple(trial(number) for number in range(30)),
        compute=ComputeSummary(
            folds_run=91,
            folds_possible=112,
            saved=0.1875,
            search_seconds=801.3,
            final_seconds=300.0,
            wall_seconds=742.0,
            workers=2,
        ),
        importance={GATE: 0.61, RATE: 0.29, "architecture.drop_path": 0.1},
        importance_note="Estimated by PED-ANOVA.",
        finalists=(
            finalist(
                1,
                "trial 27",
                27,
                scores(0, (50, 6, 4), (4, 16, 2), (2, 1, 15)),
                scores(1, (52, 5, 3), (5, 15, 2), (3, 1, 14)),
                scores(2, (49, 6, 5), (3, 17, 2), (2, 2, 14)),
            ),
            finalist(
                2,
                "trial <script>",
                23,
                scores(0, (48, 8, 4), (5, 15, 2), (3, 1, 14)),
                scores(1, (50, 6, 4), (6, 14, 2), (3, 2, 13)),
            ),
            finalist(
                3,
                "prog_s",
                1,
                scores(0, (47, 8, 5), (6, 14, 2), (4, 1, 13)),
                scores(1, (47, 9, 4), (5, 15, 2), (5, 1, 12)),
                warm=True,
            ),
        ),
        selection=SelectionBias(
            candidates=19,
            pruned=8,
            protocol="4 subject groups",
            score=0.8312,
            optimism=0.0421,
            uf1=Estimate(value=0.7891, low=0.7123, high=0.8578),
            uar=Estimate(value=0.7717, low=0.7011, high=0.8432),
            accuracy=Estimate(value=0.8013, low=0.7318, high=0.8699),
        ),
        headline=Headline(
            uf1=Estimate(value=0.7466, low=0.6543, high=0.8234),
            mean=0.7887,
            seeds=3,
            optimism=0.0421,
        ),
        comparisons=(
            Comparison(
                label="trial <script>",
                origin="tpe",
                warm_start=False,
                protocol="LOSO",
                uf1=0.7659,
                seeds=2,
                difference=Estimate(value=0.0228, low=-0.0191, high=0.0654),
                p=0.2187,
                adjusted=0.4374,
            ),
        ),
        export=Exported(
            folder=Path("runs/moe-synthetic-1/export"),
            files=("model.onnx", "model.safetensors", "model.yaml", "card.md"),
            max_difference=3.1e-7,
        ),
        next_steps=(
            NextStep(
                command="mer-nas resume moe-synthetic-1 study.trials=60", purpose="Search on"
            ),
            NextStep(
                command="optuna-dashboard sqlite:///study.db", purpose="Look into the trials"
            ),
        ),
    )


@pytest.fixture(scope="session")
def two_sets(facts: StudySummary) -> StudySummary:
    """The study on 8 clips of three subjects out of two data sets; its winner has two seeds."""
    one, two, three = (
        ((2, 1, 0), (0, 1, 0), (0, 0, 0)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 0, 0), (1, 0, 0), (0, 0, 0)),
    )
    seeds = tuple(
        scores(repetition, *rows).model_copy(
            update={
                "subjects": subjects,
                "weighted_f1": 0.75,
                "fold_f1": 0.5,
                "datasets": tuple(
                    DatasetScores(
                        name=name,
                        uf1=0.5,
                        uar=0.5,
                        accuracy=accuracy,
                        weighted_f1=0.5,
                        confusion=own,
                    )
                    for name, accuracy, own in (
                        ("samm", hits / 7, ((3, 1, 0), (0, 2, 0), (0, 0, 1))),
                        ("smic", 0.0, three),
                    )
                ),
            }
        )
        for repetition, hits, subjects, rows in (
            (0, 6, (one, two, three), ((3, 1, 0), (1, 2, 0), (0, 0, 1))),
            (1, 5, (one, ((0, 1, 0), *two[1:]), three), ((2, 2, 0), (1, 2, 0), (0, 0, 1))),
        )
    )
    winner = facts.finalists[0].model_copy(
        update={
            "scores": seeds,
            "learning": LossCurve(
                folds=6, mean=(1.1, 0.7, 0.4), low=(0.9, 0.5, 0.2), high=(1.3, 0.9, 0.6)
            ),
            "hindsight": HindsightSummary(
                seeds=2,
                folds=5,
                of=6,
                epochs=3,
                last=0.5123,
                best_of_each=0.7321,
                best_of_all=0.6543,
                course=(0.4, 0.6543, 0.5123),
            ),
        }
    )
    data = facts.data.model_copy(
        update={
            "counts": {"clips": 8, "subjects": 3, "negative": 4, "positive": 3, "surprise": 1},
            "subjects": {"samm:006": 4, "samm:011": 3, "smic:s1": 1},
        }
    )
    gateless = gated("none")
    trials = tuple(
        trial.model_copy(update={"architecture": gateless})
        if trial.number % 2 and trial.architecture
        else trial
        for trial in facts.trials
    )
    found = {"finalists": (winner,), "data": data, "trials": trials, "nested": nested(seeds)}
    found["looks"] = LOOKS
    return facts.model_copy(update=found)


def together(*scored: SeedScores, handed_over: bool) -> EnsembleSummary:
    """Return an ensemble of the winner and two more trials, whose clips take 7.5 ms."""

    def worth(score: float, optimism: float) -> Correction:
        uf1 = Estimate(value=score - optimism, low=0.5123, high=0.9012)
        return Correction(
            candidates=19, score=score, optimism=optimism, uf1=uf1, uar=uf1, accuracy=uf1
        )

    ahead = 0.0512 if handed_over else -0.0512
    ensemble = worth(0.8412, 0.0101)
    return EnsembleSummary(
        rule="mean",
        key="00000000beef",
        members=tuple(
            MemberSummary(
                trial=number,
                origin="tpe",
                key=trial(number).key,
                weight=1 / 3,
                deployed=300_001,
                macs=21_472_000,
                clip_ms=2.5,
                search_score=trial(number).value,
            )
            for number in (27, 23, 20)
        ),
        handed_over=handed_over,
        stage="final",
        protocol="LOSO",
        scores=scored,
        search_score=0.8412,
        correction=ensemble,
        alone=worth(0.8312, 0.0421),
        against=PairedComparison(
            difference=Estimate(value=ahead, low=ahead - 0.0701, high=ahead + 0.0707),
            p=0.2187,
            adjusted=0.2187,
        ),
        against_seeds=2,
    )


@pytest.fixture(scope="session")
def ensembled(two_sets: StudySummary) -> StudySummary:
    """The study on two data sets, which hands over an ensemble that is right once more a seed."""
    return _with_ensemble(two_sets, 1)


@pytest.fixture(scope="session")
def beside_an_ensemble(two_sets: StudySummary) -> StudySummary:
    """The same study where the ensemble is right once less a seed and stands beside the winner."""
    return _with_ensemble(two_sets, -1)


def _with_ensemble(facts: StudySummary, more: int) -> StudySummary:
    def moved(counts: Any) -> Any:
        """Move a clip of the first class out of the second, or into it."""
        (first, second, *rest), *others = counts
        return ((first + more, second - more, *rest), *others)

    def scored(of: SeedScores) -> SeedScores:
        subjects = (moved(of.subjects[0]), *of.subjects[1:])
        datasets = (
            of.datasets[0].model_copy(update={"confusion": moved(of.datasets[0].confusion)}),
            *of.datasets[1:],
        )
        more_scores = {"subjects": subjects, "datasets": datasets, "weighted_f1": 0.7512}
        return scores(of.repetition, *moved(of.confusion)).model_copy(update=more_scores)

    found = together(*map(scored, facts.finalists[0].scores), handed_over=more > 0)
    corrected = found.correction if found.handed_over else found.alone
    assert corrected is not None
    assert facts.selection is not None
    mean = sum(s.uf1 for s in (found if more > 0 else facts.finalists[0]).repetitions) / 2
    chosen, optimism = dict(corrected), corrected.optimism
    uf1 = Estimate(value=mean - optimism, low=mean - 0.2, high=mean + 0.1)
    return facts.model_copy(
        update={
            "ensemble": found,
            "selection": facts.selection.model_copy(update=chosen),
            "headline": Headline(uf1=uf1, mean=mean, seeds=2, optimism=optimism),
        }
    )


def nested(seeds: tuple[SeedScores, ...]) -> NestedEstimate:
    """Return a nested estimate of two outer groups."""
    return NestedEstimate(
        groups=tuple(
            OuterGroup(
                name=f"group {number} ({count(subjects, 'subject')})",
                clips=clips,
                winner=f"trial {7 * number}",
                origin="tpe",
                key=f"{number:012x}",
                chosen_by=0.8125 + number / 100,
            )
            for number, subjects, clips in ((1, 1, 4), (2, 2, 4))
        ),
        inside=0.8275,
        scores=seeds,
        uf1=Estimate(value=0.6789, low=0.5432, high=0.7891),
        uar=Estimate(value=0.6543, low=0.5321, high=0.7654),
        accuracy=Estimate(value=0.7012, low=0.6012, high=0.8012),
        seconds=4321.5,
    )


def gated(kind: str) -> dict[str, Any]:
    """Return the architecture with another gate in all stages."""
    path = ARCHITECTURE["paths"][0]
    stages = [stage | {"gate": {"kind": kind}} for stage in path["stages"]]
    return ARCHITECTURE | {"paths": [path | {"stages": stages}]}


@pytest.fixture(scope="session")
def whole(facts: StudySummary, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The files of the study."""
    return write_report(tmp_path_factory.mktemp("whole"), build_report(facts))


@pytest.fixture(scope="session")
def whole_ensembled(ensembled: StudySummary, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The files of the study that hands over an ensemble."""
    return write_report(tmp_path_factory.mktemp("ensembled"), build_report(ensembled))


@pytest.fixture(scope="session")
def whole_beside_an_ensemble(
    beside_an_ensemble: StudySummary, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """The files of the study whose ensemble was not better."""
    return write_report(tmp_path_factory.mktemp("beside"), build_report(beside_an_ensemble))


@pytest.fixture(scope="session")
def whole_two_sets(two_sets: StudySummary, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The files of the study on two data sets."""
    return write_report(tmp_path_factory.mktemp("two_sets"), build_report(two_sets))


class Undrawn:
    """Stands in for the drawings, which take most of the time of a page."""

    def __getattr__(self, name: str) -> Callable[..., str]:
        return lambda *_: ""


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages be written without their charts, for tests of what stands around them."""
    monkeypatch.setattr("mer_nas.report.page.charts", Undrawn())

"""What studies of synthetic clips hand over, asked about people of another population.

    python benchmarks/fresh_subjects.py STUDY... [subjects=100] [population=1000] [seeds=2]

What a study hands over (a candidate or an ensemble), its best candidate alone and its best warm
start are trained alike, by the recipe of its final stage, on all its clips, and asked about people
rendered from another seed of the population, whom nobody has ever seen. Columns: UF1, the mean
over the seeds of training; the difference to the warm start, paired over subjects, with its 95 %
interval. Last, in how many studies what was handed over is better, and by how much on average.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mer_nas import data
from mer_nas.config import overrides
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Fold, Protocol
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.statistics import by_subject, compare_pairs
from mer_nas.study.clips import load_clips
from mer_nas.study.ensemble import Ensemble
from mer_nas.study.folder import StudyFolder, find_study
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.systems import needs


def main(words: Sequence[str]) -> None:
    """Ask about fresh people, study after study."""
    own = overrides.parse([word for word in words if "=" in word]).plain
    subjects, population = int(own.get("subjects", "100")), int(own.get("population", "1000"))
    leads = []
    for word in words:
        if "=" not in word:
            folder = find_study(word)
            leads.append(compare(folder, subjects, population, int(own.get("seeds", "2"))))
    better = sum(lead > 0 for lead in leads)
    print(f"better in {better} of {len(leads)}, on average by {statistics.fmean(leads):+.4f}")


def compare(folder: StudyFolder, subjects: int, population: int, seeds: int) -> float:
    """Print what a study's networks say of fresh people; return the lead over the warm start."""
    state = StudyState(folder, folder.origin())
    clips = load_clips(state.settings)
    both, protocol = beside(clips, fresh(state, subjects, population))
    evaluator = Evaluator(both, protocol, state.settings.study.seed)
    chosen, single = state.handed_over, state.winner
    assert chosen is not None
    assert single is not None
    warm = max(
        (trial for trial in state.trials if "point" in trial.user_attrs and trial.values),
        key=lambda trial: trial.values[0],
    )
    counts = {
        name: answers(evaluator, one, seeds)
        for name, one in (
            ("handed over", chosen),
            ("best alone", single),
            ("warm start", state.trial(warm)),
        )
    }
    labels = {"handed over": chosen.label, "best alone": single.label}
    labels["warm start"] = state.trial(warm).origin
    reference = counts["warm start"]
    for name, found in counts.items():
        mean = float(uf1(found.sum(1)).mean())
        line = f"{folder.name} {name:<12} {labels[name]:<20} UF1 {mean:.4f}"
        if name != "warm start":
            lead = compare_pairs(found, {"": reference})[""].difference
            line += f"  {lead.value:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}]"
        print(line, flush=True)
    return float(uf1(counts["handed over"].sum(1)).mean() - uf1(reference.sum(1)).mean())


def fresh(state: StudyState, subjects: int, population: int) -> ClipSet:
    """Return clips of other people, as the study's are made."""
    settings = state.settings
    share = settings.data.clips / settings.data.subjects  # type: ignore[union-attr]
    update = {"seed": population, "subjects": subjects, "clips": round(share * subjects)}
    others = settings.data.model_copy(update=update)
    return data.load(others, needs(settings.space))


def beside(clips: ClipSet, others: ClipSet) -> tuple[ClipSet, Protocol]:
    """Return both sets as one, and the protocol that asks about the others once."""
    renamed = tuple(replace(record, dataset="fresh") for record in others.records)
    both = replace(
        clips,
        records=(*clips.records, *renamed),
        inputs={
            name: np.concatenate([a, others.inputs[name]]) for name, a in clips.inputs.items()
        },
    )
    people = tuple(sorted({record.group for record in renamed}))
    fold = Fold(name="fresh people", key="0" * 12, clips=len(renamed), subjects=people)
    return both, Protocol(name="fresh people", folds=(fold,), blocks=((0,),))


def answers(evaluator: Evaluator, one: Trial | Ensemble, seeds: int) -> Counts:
    """Return the confusions (R, S, K, K) of what a study found, trained with several seeds."""
    people, classes = evaluator.protocol.folds[0].subjects, len(evaluator.clips.classes)
    rows = []
    for seed in range(seeds):
        said = [evaluator.fold(member.candidate, 0, seed) for member in one.members]
        rows.append(by_subject([one.combined(said)], people, classes))
    return np.stack(rows)


if __name__ == "__main__":
    main(sys.argv[1:])

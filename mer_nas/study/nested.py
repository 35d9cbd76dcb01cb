"""What the whole procedure is worth: searched without some subjects, then asked about them.

BBC-CV (`selection_bias`) estimates by how much the choice among trials flatters a score. It cannot
see what a sampler that learns from scores has learned from the subjects. A nested estimate can:
for each outer group of subjects a search with the whole budget runs on all other clips, as if
there were no more; what it hands over, a candidate or an ensemble, is trained on these and asked
about the group, once. The pooled answers score the procedure, not one network, and nothing that
was chosen has seen what it is scored on.

Outer subjects reach nothing of an inner search: it is given a set of clips in which they are not,
in a folder of its own, so neither labels nor scaling nor a choice can follow from them. Not even
who is in a group depends on a label.

outer/
├── 1-of-4/         a study like any other, but for its clips; `mer-nas report` writes its report
├── ...
└── ledger.jsonl    what each winner said of its group
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mer_nas.data.clips import ClipSet
from mer_nas.errors import DataError
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.files import ensure_folder
from mer_nas.report import NestedEstimate, OuterGroup
from mer_nas.report.scores import counts_by_subject
from mer_nas.search.events import Ended, Event, Listener, Note, SearchEnded
from mer_nas.search.ledger import Ledger, read
from mer_nas.search.measure import Measurement
from mer_nas.search.patience import Patience
from mer_nas.search.workers import Workers
from mer_nas.settings import Settings
from mer_nas.statistics import check_counts
from mer_nas.study.ensemble import Ensemble
from mer_nas.study.folder import Origin, StudyFolder, create, outer_plan, without_fold
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.wording import count

Search = Callable[[StudyFolder, ClipSet, Settings, Listener], StudyState]
"""Brings a study to the end of its final stage; returns what it knows then."""


class _Asked(NamedTuple):
    """An outer group and the answers of what was chosen."""

    facts: OuterGroup
    results: tuple[FoldResult | None, ...]
    """One a seed; none where it was not asked."""
    seconds: float
    """Of the search and the answers."""


def measure_outer_groups(
    state: StudyState, clips: ClipSet, workers: Workers, search: Search, on_event: Listener
) -> None:
    """Search without each outer group in turn and ask the winner about it; nothing twice.

    Args:
        state: The study, which has outer groups.
        clips: All its clips.
        workers: Train what is missing.
        search: Runs an inner search.
        on_event: Is told what happens, as notes: none of it is of the study's own search.
    """
    study, protocol = state.settings.study, outer_plan(state.settings.study, clips)
    of = len(protocol.folds)
    ensure_folder(state.folder.answers.parent)
    with Ledger(state.folder.answers, on_event) as ledger:
        for number, fold in enumerate(protocol.folds, start=1):
            tell = _noted(on_event, f"outer group {number} of {of}")
            inside = without_fold(clips, fold)
            settings = _inner(state.settings, state.folder.inner(number, of))
            found = search(_opened(settings, inside, state, fold.name), inside, settings, tell)
            if (chosen := found.handed_over) is None:
                tell(Note("no trial was complete, so nobody can be asked"))
                continue
            alone = protocol.model_copy(update={"folds": (fold,), "blocks": ((0,),)})
            question = Measurement(
                {
                    f"{member.label} asked about {fold.name}": member.candidate
                    for member in chosen.members
                },
                study.final.seeds if study.final else 1,
                clips=clips,
                protocol=alone,
                seed=study.seed,
                ledger=ledger,
                code=state.origin.code,
                patience=Patience(study.fold_seconds),
                on_event=_noted(tell, "", scores=False),
            )
            files = state.settings.space.extensions
            workers.measure(question, Evaluator(clips, alone, study.seed, files))


def unasked(folder: StudyFolder, origin: Origin, seed: int, code: str) -> int:
    """Return about how many outer groups nobody was asked about yet.

    Args:
        folder: The study.
        origin: What it goes on with, its outer groups among it.
        seed: Of the study.
        code: Version of the code that asks.
    """
    folds = origin.outer.folds if origin.outer else ()
    of = (seed, origin.data.fingerprint, code)
    there = read(folder.answers) if folder.answers.is_file() else ()
    asked = {each.fold for each in there if (each.seed, each.data, each.code) == of}
    # Another division may have a group of the same subjects, but not the search without them.
    return sum(
        fold.key not in asked or not folder.inner(number, len(folds)).settings_file.is_file()
        for number, fold in enumerate(folds, start=1)
    )


def nested_estimate(state: StudyState) -> tuple[NestedEstimate | None, str]:
    """Return what the nested estimate came to, or why there is none."""
    if state.origin.outer is None:
        return None, ""
    asked = _asked(state)
    missing = [number for number, each in enumerate(asked, start=1) if each is None]
    if missing:
        numbers = ", ".join(map(str, missing))
        return None, f"not asked yet: outer group {numbers} of {len(asked)}"
    groups = [each for each in asked if each is not None]
    answers = zip(*(each.results for each in groups), strict=True)
    data, seeds = state.origin.data, _seeds(state)
    whole: dict[int, Sequence[FoldResult]] = {
        repetition: [result for result in results if result is not None]
        for repetition, results in zip(range(seeds), answers, strict=True)
        if None not in results
    }
    if not whole:
        return None, "training failed for some outer group with every seed"
    scores = tuple(state.pooled(each, repetition) for repetition, each in whole.items())
    try:
        check_counts(counts_by_subject(scores), data.classes)
    except DataError as error:
        return None, str(error)
    seconds = round(sum(each.seconds for each in groups), 3)
    return NestedEstimate.of([each.facts for each in groups], scores, seconds), ""


def _asked(state: StudyState) -> list[_Asked | None]:
    """Return each outer group with its answers; none for one that was not asked."""
    shape, data, code = state.origin.outer, state.origin.data, state.origin.code
    assert shape is not None
    known = {result.key: result for result in state.kept(state.folder.answers)}
    found: list[_Asked | None] = []
    for fold, inner in zip(shape.folds, state.inner, strict=True):
        chosen = inner.handed_over if inner is not None and inner.begun else None
        if inner is None or chosen is None:
            found.append(None)
            continue
        seed = state.settings.study.seed
        answers = [
            [
                known.get((member.candidate.key, fold.key, each, seed, data.fingerprint, code))
                for member in chosen.members
            ]
            for each in range(_seeds(state))
        ]
        results = tuple(_together(chosen, each) for each in answers)
        if not any(results):
            found.append(None)
            continue
        trained = [each for by_fold in inner.results.values() for each in by_fold.values()]
        spent = sum(each.seconds for each in [*trained, *results] if each is not None)
        group = OuterGroup(
            name=fold.name,
            clips=fold.clips,
            winner=chosen.label,
            origin=chosen.origin,
            key=chosen.key,
            chosen_by=_chosen_by(inner, chosen),
        )
        found.append(_Asked(group, results, spent))
    return found


def _together(chosen: Trial | Ensemble, answers: Sequence[FoldResult | None]) -> FoldResult | None:
    """Return what was said with a seed; none while somebody was not asked."""
    said = [each for each in answers if each is not None]
    return chosen.combined(said) if len(said) == len(answers) else None


def _chosen_by(inner: StudyState, chosen: Trial | Ensemble) -> float:
    """Return the UF1 by which something was chosen: of an ensemble always that of the search."""
    if isinstance(chosen, Ensemble):
        return pool(inner.ensemble_results(chosen, inner.origin.search)).uf1
    for entry, scores in inner.finalists:
        if entry.number == chosen.number:
            return statistics.fmean(score.uf1 for score in scores)
    assert chosen.value is not None
    return chosen.value


def _seeds(state: StudyState) -> int:
    final = state.settings.study.final
    return final.seeds if final else 1


def _inner(settings: Settings, folder: StudyFolder) -> Settings:
    """Return the settings of a search that is like the study's own, in a folder of its own."""
    final = settings.study.final
    if final is not None:
        final = final.model_copy(
            update={"best_epoch": False}
        )  # which would cost and choose nothing
    changed = {"outer": None, "name": None, "folder": folder.path, "final": final}
    return replace(settings, study=settings.study.model_copy(update=changed))


def _opened(settings: Settings, clips: ClipSet, state: StudyState, group: str) -> StudyFolder:
    """Return the folder of an inner search, made if it is not there."""
    assert settings.study.folder is not None
    folder = StudyFolder(settings.study.folder)
    if not folder.settings_file.is_file():
        folder.take_away()  # killed while it was being made
        create(settings, clips, f"{state.origin.command}  # without {group}")
    return folder


def _noted(on_event: Listener, name: str, *, scores: bool = True) -> Listener:
    """Return a listener that passes on what is worth a line, as notes.

    Args:
        on_event: Takes the notes.
        name: Goes before each.
        scores: Whether UF1 is said; what one group alone would score is not.
    """

    def tell(event: Event) -> None:
        if text := _line(event, scores=scores):
            on_event(Note(f"{name}: {text}" if name else text))

    return tell


def _line(event: Event, *, scores: bool) -> str:
    match event:
        case Ended(_, _, label, "complete", _, _, value, _):
            return f"{label}: UF1 {value:.3f}" if scores else label
        case Ended(_, _, label, outcome, done, of, _, reason):
            return f"{label}: {outcome} after {done} of {count(of, 'fold')}: {reason}"
        case SearchEnded(reason):
            return f"search ended: {reason}"
        case Note(text):
            return text
    return ""  # the others pass by

"""A study's finalists as networks: trained on all clips, exported, and written down as a space."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import plan
from mer_nas.errors import ExportError, MerNasError, TrainingFailed
from mer_nas.evaluation.evaluator import Evaluator, fold_seed
from mer_nas.export import Exported, Provenance, TrainedMember, export_networks
from mer_nas.export.bundle import refuse_unexportable
from mer_nas.export.manifest import GRAPH, WEIGHTS, read_manifest
from mer_nas.export.origin import ExpectedScore
from mer_nas.files import write
from mer_nas.provenance import environment
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.jobs import describe
from mer_nas.search.lock import refuse_driven
from mer_nas.study.attribution import attribution
from mer_nas.study.folder import StudyFolder
from mer_nas.study.resume import unchanged
from mer_nas.study.state import StudyState
from mer_nas.study.summary import summary
from mer_nas.study.trial import Trial
from mer_nas.wording import count


def export(folder: StudyFolder, clips: ClipSet, rank: int, on_event: Listener = ignore) -> Path:
    """Train the finalist of a rank on all clips and export it; return the folder.

    Raises:
        ExportError: There is no finalist of this rank.
        StudyError: The study still runs, or the clips or the code are not its own.
    """
    refuse_driven(folder.path)
    origin = folder.origin()
    state = StudyState(folder, origin)
    unchanged(folder, origin, clips, state.settings.space.extensions)
    entries = state.finalists or [(finalist, ()) for finalist in state.ranked()]
    if not entries:
        raise ExportError(f"{folder.path}: no trial is complete, so there is nothing to export")
    if type(rank) is not int or not 1 <= rank <= len(entries):
        raise ExportError(
            f"rank={rank}: {folder.path} has {count(len(entries), 'finalist')}; 1 is the winner"
        )
    return _export(state, rank, entries[rank - 1][0], clips, on_event).folder


def export_winner(state: StudyState, clips: ClipSet, on_event: Listener) -> None:
    """Write down the winner, and export it if there was a final stage and nothing has changed.

    Args:
        state: What the study knows; keeps what is to be said of the export.
        clips: Its data.
        on_event: Is told of the training.
    """
    entries = state.finalists
    winner = entries[0][0] if entries else next(iter(state.ranked()), None)
    if winner is None:
        return
    tree = _as_space(state, winner)
    write(state.folder.best, presets.dump(tree))
    if entries and (state.export is None or not _is_current(state, winner, clips)):
        state.note_export(winner, None)  # until there is one again
        state.note_export(winner, _export(state, 1, winner, clips, on_event))


def _is_current(state: StudyState, winner: Trial, clips: ClipSet) -> bool:
    """Whether the export in the folder is what exporting the winner now would give."""
    folder = state.folder.export(1)
    try:
        found = read_manifest(folder)
        for name in (GRAPH, WEIGHTS):
            found.content(folder, name)
    except MerNasError:
        return False
    tree, now = winner.candidate.dump(), _provenance(state, winner, clips)
    held = [(member.architecture, member.trainer) for member in found.members]
    return (held, found.fingerprint) == (
        [(tree["architecture"], tree["trainer"])],
        clips.fingerprint,
    ) and found.provenance.model_copy(update={"environment": {}}) == now.model_copy(
        update={"environment": {}}
    )


def _export(
    state: StudyState, rank: int, finalist: Trial, clips: ClipSet, on_event: Listener
) -> Exported:
    study = state.settings.study
    protocol = plan(clips, study.folds, study.seed, study.block)
    refuse_unexportable([finalist.candidate], len(clips.classes))
    on_event(Note(f"training {finalist.label} on all {count(len(clips), 'clip')} for export"))
    evaluator = Evaluator(clips, protocol, study.seed, state.settings.space.extensions)
    try:
        network = evaluator.train(finalist.candidate)
    except Exception as error:  # a network may fail of anything
        raise TrainingFailed(
            f"{finalist.label} cannot be trained on all clips: {describe(error)}"
        ) from error
    if rank == 1:
        looks = attribution(network, finalist.candidate, evaluator)
        write(state.folder.attribution, "null" if looks is None else looks.model_dump_json())
    place, provenance = state.folder.export(rank), _provenance(state, finalist, clips)
    seed = fold_seed(study.seed, 0, ())
    only = TrainedMember(network, finalist.candidate, finalist.label, seed)
    return export_networks([only], clips, place, provenance)


def _provenance(state: StudyState, finalist: Trial, clips: ClipSet) -> Provenance:
    settings, origin = state.settings, state.origin
    scores = next((s for f, s in state.finalists if f.number == finalist.number), ())
    spread = statistics.stdev(s.uf1 for s in scores) if len(scores) > 1 else None
    return Provenance(
        study=state.folder.name,
        label=finalist.label,
        command=origin.command,
        code_version=origin.code,
        environment=environment(settings.space.extensions),
        scaling=dict(clips.scaling),
        protocol=(origin.final or origin.search).name,
        seeds=len(scores),
        uf1=statistics.fmean(s.uf1 for s in scores) if scores else None,
        uar=statistics.fmean(s.uar for s in scores) if scores else None,
        accuracy=statistics.fmean(s.accuracy for s in scores) if scores else None,
        uf1_spread=spread,
        worth=_expected_score(state, finalist),
        extensions=tuple(str(path.resolve()) for path in settings.space.extensions),
    )


def _expected_score(state: StudyState, finalist: Trial) -> ExpectedScore | None:
    """Return the headline of the study as the winner's card says it; None for anybody else."""
    finalists = state.finalists
    if not finalists or finalists[0][0].number != finalist.number:
        return None
    facts = summary(state)
    chosen, found = facts.selection, facts.headline
    if chosen is None or found is None:
        return None
    return ExpectedScore(
        uf1=found.uf1.value,
        low=found.uf1.low,
        high=found.uf1.high,
        mean=found.mean,
        seeds=found.seeds,
        optimism=found.optimism,
        caveat=chosen.caveat,
        candidates=chosen.candidates,
    )


def _as_space(state: StudyState, finalist: Trial) -> Tree:
    """Return a candidate as the YAML of a space without open leaves."""
    name, files = state.folder.name, state.settings.space.extensions
    tree: dict[str, Any] = {
        "name": f"best-of-{name}",
        "summary": f"Trial {finalist.number} of {name}, proposed by {finalist.origin}.",
        **({"extensions": [str(file.resolve()) for file in files]} if files else {}),
        **finalist.candidate.dump(),
    }
    del tree["trainer"]["device"]
    return tree

"""What a study found as networks: trained on all clips, exported, and written down as a space."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from torch import nn

from mer_nas.architectures import deployed
from mer_nas.architectures.extensions import copy_names
from mer_nas.architectures.user_blocks import describe
from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.errors import (
    ConfigError,
    ExportError,
    MerNasError,
    StudyError,
    TrainingFailed,
    shown,
)
from mer_nas.evaluation.evaluator import Evaluator, fold_seed
from mer_nas.export import Exported, TrainedMember, export_networks
from mer_nas.export.bundle import refuse_unexportable
from mer_nas.export.manifest import GRAPH, WEIGHTS, read_manifest
from mer_nas.files import read_text, write
from mer_nas.search.config import EnsembleConfig
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.lock import refuse_driven
from mer_nas.shell import command_line
from mer_nas.study.attribution import attribution
from mer_nas.study.ensemble import Ensemble
from mer_nas.study.evaluate import BEST_OF
from mer_nas.study.export_provenance import provenance_of
from mer_nas.study.folder import StudyFolder
from mer_nas.study.resume import refuse_other_clips, unchanged
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.wording import count

ENSEMBLE: Final = "ensemble"
"""What stands in place of a rank where the ensemble of a study is meant."""
Place = int | Literal["ensemble"]
"""A rank, 1 being the winner, or the ensemble."""


def export(
    folder: StudyFolder,
    clips: ClipSet,
    place: int | str,
    on_event: Listener = ignore,
    *,
    anew: bool = False,
) -> Path:
    """Train a finalist, or every member of the ensemble, on all clips; return the folder.

    A study that was made before there were ensembles gives the one that it would find now.

    Args:
        folder: The study.
        clips: Its data.
        place: A rank, 1 being the winner; or "ensemble".
        on_event: Is told of the training.
        anew: Whether this code may train what other code has measured.

    Raises:
        ExportError: There is no finalist of this rank, or no ensemble, or no one file holds it.
        StudyError: The study still runs, or the clips or the code are not its own.
    """
    at = _place(place)
    refuse_driven(folder.path)
    state = StudyState(folder, folder.origin())
    exported = exportable(state, clips, at, anew=anew)
    made = _export(state, at, exported, clips, on_event, {})
    if at in (1, ENSEMBLE):
        state.note_export(exported, made)
    return made.folder


def exportable(
    state: StudyState, clips: ClipSet, place: int | str, *, anew: bool
) -> Trial | Ensemble:
    """Return what `export` would train and export.

    Raises:
        ExportError: There is no finalist of this rank, or no ensemble.
        StudyError: The clips or the code are not the study's own.
    """
    at, folder, origin = _place(place), state.folder, state.origin
    if anew:
        refuse_other_clips(folder, origin, clips)
    else:
        word = at if isinstance(at, str) else f"rank={at}"
        command = command_line("mer-nas", "export", folder.path, word, "--anew")
        otherwise = f", or train just what is exported with it: `{command}`"
        unchanged(folder, origin, clips, state.settings.space.extensions, otherwise)
    if isinstance(at, str):
        return _ensemble_of(state)
    entries = [entry for entry, _ in state.finalists] or state.ranked()
    if not entries:
        raise ExportError(f"{folder.path}: no trial is complete, so there is nothing to export")
    if not 1 <= at <= len(entries):
        raise ExportError(
            f"rank={at}: {folder.path} has {count(len(entries), 'finalist')}; 1 is the winner"
        )
    return entries[at - 1]


def _place(word: int | str) -> Place:
    if word == ENSEMBLE:
        return ENSEMBLE
    if type(word) is not int:
        raise ExportError(f"{shown(word)}: a rank such as 1, or {ENSEMBLE!r}, would be right")
    return word


_CIRCUMSTANCES = ("study", "command", "environment")
"""What an export says of where it was made: a study renamed or copied keeps its exports."""

Networks = dict[str, nn.Module]
"""As they are exported, by the key of their candidate; each is trained once."""


def export_winner(
    state: StudyState, clips: ClipSet, on_event: Listener, trained: Networks
) -> None:
    """Write down the winner, and export it if there was a final stage and nothing has changed.

    Args:
        state: What the study knows; keeps what is to be said of the export.
        clips: Its data.
        on_event: Is told of the training.
        trained: Is added to, and used in place of training again.
    """
    winner = state.winner
    if winner is None:
        return
    tree = _as_space(state, winner)
    write(state.folder.best, presets.dump(tree))
    if state.finalists:
        _export_anew(state, 1, winner, clips, on_event, trained)


def export_ensemble(
    state: StudyState, clips: ClipSet, on_event: Listener, trained: Networks
) -> None:
    """Export the ensemble, if there is one, there was a final stage and nothing has changed.

    Where there is none any more, the export of an earlier one stays, but not as the answer.

    Args:
        state: What the study knows; keeps what is to be said of the export.
        clips: Its data.
        on_event: Is told of the training.
        trained: As of `export_winner`.
    """
    if state.ensemble is None:
        _withdraw(state.folder.export(ENSEMBLE))
    elif state.finalists:
        _export_anew(state, ENSEMBLE, state.ensemble, clips, on_event, trained)


def _withdraw(folder: Path) -> None:
    """Let an export say no longer that its study hands it over."""
    with suppress(ExportError, ConfigError):  # there is none, or none that anybody would take
        found = read_manifest(folder)
        if found.provenance.handed_over:
            facts = found.provenance.model_copy(update={"handed_over": False})
            found.model_copy(update={"provenance": facts}).write(folder)


def _export_anew(
    state: StudyState,
    place: Place,
    exported: Trial | Ensemble,
    clips: ClipSet,
    on_event: Listener,
    trained: Networks,
) -> None:
    if state.export_of(exported) is None or not _is_current(state, place, exported, clips):
        state.note_export(exported, None)  # until there is one again
        state.note_export(exported, _export(state, place, exported, clips, on_event, trained))


def _ensemble_of(state: StudyState) -> Ensemble:
    """Return the ensemble of a study, or the one that it would have had before there were any."""
    study, found, why = state.settings.study, state.ensemble, state.no_ensemble
    if found is None and study.final is not None and study.final.ensemble is None:
        asking = study.final.model_copy(update={"ensemble": EnsembleConfig()})
        config = study.model_copy(update={"final": asking}).ensemble
        if config is not None and _is_of_before(state.folder):
            found, why = state.ensemble_by(config)
        elif config is not None:
            why += f"; `{state.folder.resume} study.final.ensemble.rule={config.rule}` does"
    if found is None:
        raise ExportError(f"{state.folder.path}: there is no ensemble to export: {why}")
    return found


def _is_of_before(folder: StudyFolder) -> bool:
    """Whether the settings of a study were written before there were ensembles."""
    file = folder.settings_file
    tree = presets.parse(read_text(file, StudyError), str(file))
    return "ensemble" not in tree["study"]["final"]


def _is_current(
    state: StudyState, place: Place, exported: Trial | Ensemble, clips: ClipSet
) -> bool:
    """Whether the export in the folder is what exporting now would give."""
    folder = state.folder.export(place)
    try:
        found = read_manifest(folder)
        for name in (GRAPH, WEIGHTS):
            found.content(folder, name)
    except MerNasError:
        return False
    held = [(each.label, each.weight, each.architecture, each.trainer) for each in found.members]
    wanted = [
        (member.label, weight, *member.candidate.dump().values())
        for member, weight in zip(exported.members, exported.weights, strict=True)
    ]
    then, now = found.provenance, provenance_of(state, exported, clips)
    return (held, found.fingerprint, then) == (
        wanted,
        clips.fingerprint,
        now.model_copy(update={name: getattr(then, name) for name in _CIRCUMSTANCES}),
    )


def _export(
    state: StudyState,
    place: Place,
    exported: Trial | Ensemble,
    clips: ClipSet,
    on_event: Listener,
    trained: Networks,
) -> Exported:
    """Train the members one after another, each as it would be trained alone, and export them."""
    study, members = state.settings.study, exported.members
    protocol = study.divided(clips)
    evaluator = Evaluator(clips, protocol, study.seed, state.settings.space.extensions)
    evaluator.gpu_share = state.settings.ray.own_share
    for member in members:
        evaluator.check(member.candidate)
    refuse_unexportable([member.candidate for member in members], len(clips.classes))
    for number, member in enumerate(members, 1):
        if member.candidate.key in trained:
            continue
        of = f", member {number} of {len(members)}" if len(members) > 1 else ""
        clips_said = count(len(clips), "clip")
        on_event(Note(f"training {member.label} on all {clips_said} for export{of}"))
        network = _trained(evaluator, member)
        if place == 1:
            looks = attribution(network, member.candidate, evaluator)
            write(state.folder.attribution, "null" if looks is None else looks.model_dump_json())
        # what only training used is let go
        trained[member.candidate.key] = deployed(network).cpu()
    networks = [
        TrainedMember(
            trained[member.candidate.key],
            member.candidate,
            member.label,
            fold_seed(study.seed, 0, ()),
            weight,
        )
        for member, weight in zip(members, exported.weights, strict=True)
    ]
    facts = provenance_of(state, exported, clips)
    extensions = state.settings.space.extensions
    return export_networks(networks, clips, state.folder.export(place), facts, extensions)


def _trained(evaluator: Evaluator, member: Trial) -> nn.Module:
    try:
        return evaluator.train(member.candidate)
    except Exception as error:  # a network may fail of anything
        raise TrainingFailed(
            f"{member.label} cannot be trained on all clips: {describe(error)}"
        ) from error


def _as_space(state: StudyState, finalist: Trial) -> Tree:
    """Return a candidate as the YAML of a space without open leaves."""
    name, files = state.folder.name, state.settings.space.extensions
    copies = zip(copy_names(files), files, strict=True)
    named = [
        copy if (state.folder.path / copy).is_file() else str(file.resolve())
        for copy, file in copies
    ]
    tree: dict[str, Any] = {
        "name": f"{BEST_OF}{name}",
        "summary": f"Trial {finalist.number} of {name}, proposed by {finalist.origin}.",
        **({"extensions": named} if files else {}),
        **finalist.candidate.dump(),
    }
    del tree["trainer"]["device"]
    return tree

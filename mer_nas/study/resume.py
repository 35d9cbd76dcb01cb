"""What may change when a study goes on, and what must be as it was."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mer_nas.architectures.extensions import copy_files
from mer_nas.config import overrides, presets
from mer_nas.config.base import Config, Tree, validate
from mer_nas.data.clips import ClipSet
from mer_nas.errors import ConfigError, StudyError, unknown
from mer_nas.files import write
from mer_nas.provenance import code, version_of
from mer_nas.search.config import RayConfig, StudyConfig
from mer_nas.settings import Settings, changed_data
from mer_nas.sources import Sources
from mer_nas.study.folder import Origin, StudyFolder

MAY_CHANGE = (
    "study.trials",
    "study.minutes",
    "study.fold_minutes",
    "study.final",
    "study.outer",
    "study.track",
    *overrides.PLACE_KEYS,
    "ray",
)
"""Keys, with everything below them, whose change leaves all finished folds valid."""

_ANEW = re.compile(r"@[0-9a-f]{12}(\.\d+)?\Z")
"""What an Optuna study that was begun anew has behind its first name: the version of the code."""
LONGEST = 100
"""Characters of a value in a message."""
ELSEWHERE = (
    "space.place",
    "space.folder",
    "space.file.extensions",
    "study.name",
    "study.folder",
    "study.storage",
    "data",
)
"""Keys that say where something lies, or that what they mean is held by: clips and code have
fingerprints of their own."""


def extended(settings: Settings, words: Iterable[str]) -> Settings:
    """Return a study's settings with the changes that a resume may bring.

    Raises:
        ConfigError: A word would change what the finished trials were measured with.
    """
    read = overrides.parse(words)
    mistakes = [
        _refusal(settings, key, value) for key, value in (read.plain | read.dotted).items()
    ]
    if any(mistakes):
        raise ConfigError("\n".join(filter(None, mistakes)))
    return replace(
        settings,
        study=_changed(settings.study, StudyConfig, "study", read.of("study")),
        ray=_changed(settings.ray, RayConfig, "ray", read.of("ray")),
        data=changed_data(settings.data, read.of("data")),
    )


def unchanged(
    folder: StudyFolder,
    origin: Origin,
    clips: ClipSet,
    extensions: Sequence[Path],
    otherwise: str = "",
) -> None:
    """Refuse to go on where the clips or the code are others than at the start.

    Args:
        folder: The study.
        origin: What it began with.
        clips: What the session found.
        extensions: The study's, which have been loaded.
        otherwise: What else can be done where the code is another, for the message.

    Raises:
        StudyError: They are; the message names both.
    """
    refuse_other_clips(folder, origin, clips)
    now = code(extensions)
    if (version := version_of(now)) != origin.code:
        raise StudyError(
            f"{folder.path}: the code that decides scores has changed since the study began "
            f"(version {origin.code}, now {version}{_changed_files(origin.files, now)}), so new "
            "trials would not compare with the old; go back to that version, or measure its "
            f"candidates anew with this one: `{folder.resume} --anew`{otherwise}"
        )


def refuse_other_clips(folder: StudyFolder, origin: Origin, clips: ClipSet) -> None:
    """Refuse to go on where the clips are others than at the start, whatever the code.

    Of clips that are only listed, and not prepared, nobody knows the pixels yet.

    Raises:
        StudyError: They are; the message names both.
    """
    if clips.inputs and clips.fingerprint != origin.data.fingerprint:
        raise StudyError(
            f"{folder.path}: the study was made with other clips: {origin.data.name} with "
            f"fingerprint {origin.data.fingerprint}, not {clips.fingerprint}; data.root= or "
            "data.roots= should name the same set"
        )


def refuse_less(kept: StudyConfig, asked: StudyConfig, trials: int, seconds: float) -> None:
    """Refuse bounds on the search that are set below what it has taken already.

    Args:
        kept: What has held so far; a bound that stays as it is may be passed.
        asked: What is to hold from now on.
        trials: How many the search has done.
        seconds: How long it has searched.

    Raises:
        StudyError: A bound is; the message says what would go on and what ends the search.
    """
    said = []
    most, minutes = asked.trials, asked.minutes
    if most != kept.trials and most is not None and most < trials:
        done = f"{trials} {'is' if trials == 1 else 'are'} done already"
        said.append(f"study.trials={most}: {done}; more than {trials} would go on")
    if minutes != kept.minutes and minutes is not None and 60 * minutes < seconds:
        spent = math.ceil(seconds / 0.6) / 100
        said.append(
            f"study.minutes={minutes:g}: {spent:g} are spent already; more would go on, "
            f"study.trials={trials} ends the search"
        )
    if said:
        raise StudyError("\n".join(said))


def refuse_edited(folder: StudyFolder, origin: Origin, settings: Settings) -> None:
    """Refuse settings that were edited into others than the finished folds were measured with.

    Raises:
        StudyError: A key that decides a score is another; the message names all such.
    """
    if origin.settings is None:
        return  # a study of before; its trials and folds say it (see `restore`)
    began, now = overrides.leaves(origin.settings), overrides.leaves(settings.dump())
    other = [
        f"{folder.settings_file}: {key}={_word(now.get(key))}: the study was made with "
        f"{key}={_word(began.get(key))}; put that back: {_only()}"
        for key in dict.fromkeys([*began, *now])
        if began.get(key) != now.get(key) and _decides(key, began, now)
    ]
    if other:
        raise StudyError("\n".join(other))


def _decides(key: str, began: Tree, now: Tree) -> bool:
    """Return whether a leaf decides scores, and is no setting that one of two versions lacks."""
    if overrides.below(key, (*MAY_CHANGE, *ELSEWHERE)):
        return False
    return overrides.below(key, ("space", "trainer_words")) or (key in began and key in now)


def _only() -> str:
    return f"on resume only {', '.join(MAY_CHANGE)} may change"


def renewed(
    folder: StudyFolder,
    origin: Origin,
    clips: ClipSet,
    extensions: Sequence[Path],
    *,
    again: bool = False,
) -> Origin:
    """Let a study go on with the code as it is here; return what it begins with from now on.

    What earlier code measured stays in ledger and storage and is heard of no more: the candidates
    that it measured are measured again, in their order, before the sampler is asked for others.
    With `again` also those that this code has measured are; folds that the ledger holds are not
    trained again.

    Raises:
        StudyError: The clips are others than at the start; nothing is written then.
    """
    refuse_other_clips(folder, origin, clips)
    now = code(extensions)
    if (version := version_of(now)) == origin.code and not again:
        return origin
    name = f"{_ANEW.sub('', origin.optuna)}@{version}"
    if again:
        known = (*origin.earlier, origin.optuna)
        name = next(f"{name}.{n}" for n in itertools.count(2) if f"{name}.{n}" not in known)
    earlier = tuple(each for each in (*origin.earlier, origin.optuna) if each != name)
    copied = copy_files(extensions, folder.path)
    changed = {"code": version, "files": now, "optuna": name, "earlier": earlier}
    changed["extensions"] = copied
    renewed = origin.model_copy(update=changed)
    write(folder.path / "origin.json", renewed.model_dump_json(indent=2))
    return renewed


def _changed_files(then: Sources, now: Sources) -> str:
    """Return which modules are others, gone or new; nothing where it is not known."""
    if not then:
        return ""
    other = [name for name, meaning in now.items() if meaning not in then.values()]
    gone = [name for name, meaning in then.items() if meaning not in now.values()]
    return f": {', '.join(sorted({*other, *gone}))}"


def _refusal(settings: Settings, key: str, value: Any) -> str:
    if overrides.below(key, MAY_CHANGE):
        return ""
    only = _only()
    group = key.partition(".")[0]
    if key in presets.FOLDERS or group == "space":
        names = {
            "space": settings.space.name,
            "trainer": settings.trainer.name,
            "data": settings.data.name,
        }
        name = f" ({names[group]})" if names.get(group) else ""
        return f"{key}={value}: a study keeps the {group} it began with{name}; {only}"
    try:
        stored = _stored(settings, key)
    except KeyError:
        return unknown("key to change on resume", key, MAY_CHANGE)
    if key in settings.space.parameters():
        return f"{key}={value}: the study searches this setting; {only}"
    if stored == value:
        return ""
    return f"{key}={value}: the study was made with {key}={_word(stored)}; {only}"


def _stored(settings: Settings, key: str) -> Any:
    node: Any = {**settings.dump(), "space": {}}
    for part in key.split("."):
        if not isinstance(node, dict):
            raise KeyError(part)
        node = node[part]
    return node


def _word(value: Any) -> str:
    """Return a value as a `key=value` word has it, cut where it is long."""
    names = {None: "null", True: "true", False: "false"}
    text = names[value] if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _changed(config: Any, model: type[Any], place: str, changes: dict[str, Any]) -> Any:
    assert isinstance(config, Config)
    return validate(model, overrides.apply(config.model_dump(mode="json"), changes), place)

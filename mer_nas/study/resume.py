"""What may change when a study goes on, and what must be as it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mer_nas.config import overrides
from mer_nas.config.base import Config, validate
from mer_nas.data.clips import ClipSet
from mer_nas.errors import ConfigError, StudyError, unknown
from mer_nas.provenance import code_version
from mer_nas.search.config import RayConfig, StudyConfig
from mer_nas.settings import Settings, validate_data
from mer_nas.study.folder import Origin, StudyFolder

MAY_CHANGE = ("study.trials", "study.minutes", "study.final", "data.root", "ray")
"""Keys, with everything below them, whose change leaves all finished folds valid."""


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
        data=validate_data(
            overrides.apply(settings.data.model_dump(mode="json"), read.of("data")), "data"
        ),
    )


def unchanged(folder: StudyFolder, origin: Origin, clips: ClipSet) -> None:
    """Refuse to go on where the clips or the code are others than at the start.

    Raises:
        StudyError: They are; the message names both.
    """
    if clips.fingerprint != origin.data.fingerprint:
        raise StudyError(
            f"{folder.path}: the study was made with other clips: {origin.data.name} with "
            f"fingerprint {origin.data.fingerprint}, not {clips.fingerprint}; data.root= should "
            "name the same set"
        )
    if code_version() != origin.code:
        raise StudyError(
            f"{folder.path}: the code that decides scores has changed since the study began "
            f"(version {origin.code}, now {code_version()}), so new trials would not compare with "
            "the old; "
            "go back to that version, or begin a new study"
        )


def _refusal(settings: Settings, key: str, value: Any) -> str:
    if any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE):
        return ""
    stored = _stored(settings, key)
    if stored is None:
        return unknown("key to change on resume", key, MAY_CHANGE)
    return (
        f"{key}={value}: the finished trials were measured with {key}={stored}; on resume only "
        f"{', '.join(MAY_CHANGE)} may change"
    )


def _stored(settings: Settings, key: str) -> Any:
    node: Any = {**settings.dump(), "space": settings.space.name}
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node.get("name") if isinstance(node, dict) else node


def _changed(config: Any, model: type[Any], place: str, changes: dict[str, Any]) -> Any:
    assert isinstance(config, Config)
    return validate(model, overrides.apply(config.model_dump(mode="json"), changes), place)

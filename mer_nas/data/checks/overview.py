"""Which data set provides what: one line for each layout, from the layouts themselves."""

from typing import NamedTuple

from mer_nas.data.annotations.label_maps import AS_ANNOTATED, LabelMap
from mer_nas.data.annotations.layouts import Layout


class _Overview(NamedTuple):
    """What a data set provides, as people read it."""

    name: str
    title: str
    clips: str
    subjects: str
    fps: str
    frames: str
    """Which releases there are: raw, cropped."""
    apex: str
    action_units: str
    labels: str
    """The label maps that know it."""


def overview() -> list[_Overview]:
    """Return what each data set provides, by name."""
    return [_of(Layout.read(name)) for name in Layout.names()]


def _of(layout: Layout) -> _Overview:
    official = layout.official
    kinds = dict.fromkeys(release.frames for release in layout.releases)
    maps = [name for name in LabelMap.names() if layout.name in LabelMap.read(name).emotions]
    own = layout.explicit
    return _Overview(
        layout.name,
        layout.title,
        _number(official.clips or official.videos),
        _number(official.subjects),
        f"{layout.fps:g}" if layout.fps else "of each clip",
        ", ".join(kinds),
        "optional" if own else "annotated" if layout.has_apex else "middle frame",
        "optional" if own else "annotated" if layout.has_action_units else "none",
        ", ".join([*maps, AS_ANNOTATED]),
    )


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"

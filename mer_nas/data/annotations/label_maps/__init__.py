"""From the emotion that coders wrote to the class that a network learns, as data.

A label map is one YAML file of this package, or one of a user: for each data set its classes, each
with the emotions that belong to it. Emotions that it does not name are left out, and so are the
clips that it excludes by name.

`as_annotated` needs no file: every emotion that occurs is a class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from pydantic import Field

from mer_nas.config import presets
from mer_nas.config.base import Config, Tree, validate
from mer_nas.config.reader import MAX_LENGTH
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError, unknown
from mer_nas.files import place, read_text

AS_ANNOTATED = "as_annotated"


class LabelMap(Config):
    """Which class an emotion belongs to, in each data set."""

    name: str = ""
    title: str = ""
    source: str = ""
    emotions: dict[str, dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    """By data set and class, in the order of the labels."""
    exclude: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By data set and clip ("sub04/EP12_01f"), why the clip is left out."""
    official: dict[str, dict[str, int]] = Field(default_factory=dict)
    """By data set, how many clips and subjects there are, and clips of each class."""
    per_subject: dict[str, dict[str, int]] = Field(default_factory=dict)
    """By data set and subject, how many clips there are, as far as it is known."""

    @staticmethod
    def names() -> list[str]:
        """Return the label maps that are shipped, sorted."""
        return presets.names_in(resources.files(__name__))

    @classmethod
    def read(cls, word: str) -> "LabelMap":
        """Return the label map of that name, or the one in that YAML file.

        Raises:
            ConfigError: There is no such map or file, or it is wrong.
        """
        if word == AS_ANNOTATED:
            return cls(name=AS_ANNOTATED, title="every emotion that occurs")
        path = place(word, "data.labels", ConfigError)
        if path.suffix in {".yaml", ".yml"}:
            return _checked(read_text(path, ConfigError, MAX_LENGTH), word)
        if word not in cls.names():
            known = [*cls.names(), AS_ANNOTATED]
            raise ConfigError(f"data.labels={word}: {unknown('label map', word, known)}")
        return _shipped(word)

    def classes(self, datasets: Sequence[str], records: Sequence[Record] = ()) -> tuple[str, ...]:
        """Return the classes that the data sets share.

        Raises:
            ConfigError: The map knows one of them not, or gives two of them other classes.
        """
        if self.name == AS_ANNOTATED:
            return tuple(sorted({record.emotion for record in records if record.emotion}))
        found = {dataset: tuple(self._of(dataset)) for dataset in datasets}
        first, classes = next(iter(found.items()))
        for dataset, others in found.items():
            if others != classes:
                raise ConfigError(
                    f"data.labels={self.name}: {first} has the classes {', '.join(classes)}, but "
                    f"{dataset} has {', '.join(others)}; a map that gives both the same is "
                    "needed, such as three"
                )
        return classes

    def labelled(self, records: Sequence[Record], classes: Sequence[str]) -> tuple[Record, ...]:
        """Return the records that have a class, with it."""
        found = ((record, self.label_of(record, classes)) for record in records)
        return tuple(replace(record, label=label) for record, label in found if label is not None)

    def label_of(self, record: Record, classes: Sequence[str]) -> int | None:
        """Return the class of a record, or None where the map leaves it out."""
        if self.name == AS_ANNOTATED:
            return classes.index(record.emotion) if record.emotion else None
        if self.excludes(record):
            return None
        for index, emotions in enumerate(self._of(record.dataset).values()):
            if record.emotion in emotions:
                return index
        return None

    def excludes(self, record: Record) -> bool:
        """Return whether the map leaves a clip out by its name."""
        return f"{record.subject}/{record.name}" in self.exclude.get(record.dataset, {})

    def counts(self, datasets: Sequence[str]) -> dict[str, int] | None:
        """Return the official counts of some data sets together, or None where one is unknown."""
        if not set(datasets) <= set(self.official):
            return None
        total: dict[str, int] = {}
        for dataset in datasets:
            for name, number in self.official[dataset].items():
                total[name] = total.get(name, 0) + number
        return total

    def _of(self, dataset: str) -> Mapping[str, tuple[str, ...]]:
        if dataset not in self.emotions:
            raise ConfigError(
                f"data.labels={self.name}: {unknown('data set', dataset, self.emotions)}; "
                f"{AS_ANNOTATED} takes any"
            )
        return self.emotions[dataset]


@cache
def _shipped(name: str) -> LabelMap:
    return _checked(
        resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"), name
    )


def _checked(text: str, word: str) -> LabelMap:
    tree: Tree = {"name": word, **presets.parse(text, f"data.labels={word}")}
    found = validate(LabelMap, tree, f"data.labels={word}")
    for dataset in sorted(found.exclude.keys() - found.emotions.keys()):
        known = unknown("data set", dataset, found.emotions)
        raise ConfigError(f"data.labels={word}: exclude: {known}")
    for dataset, classes in found.emotions.items():
        taken = [emotion for emotions in classes.values() for emotion in emotions]
        twice = sorted({emotion for emotion in taken if taken.count(emotion) > 1})
        if twice:
            raise ConfigError(
                f"data.labels={word}: {dataset}: {', '.join(twice)} belongs to two classes"
            )
    return found
